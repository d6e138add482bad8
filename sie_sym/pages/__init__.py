"""What the page of `report` is made of."""
