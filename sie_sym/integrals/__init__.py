"""What `gaussian` knows of a Gaussian integral without a value: growth, kinks, zeros, enclosures."""
