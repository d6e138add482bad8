"""How `audit` reads a claim, and the routes by which it judges one."""
