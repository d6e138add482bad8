"""What each command of `cli` is asked, computes and answers."""
