"""What `flow` integrates and with what: the drift, two methods, and when a flow rests."""
