"""What is said to servers of one protocol once a connection stands: the conversations behind the kinds."""
