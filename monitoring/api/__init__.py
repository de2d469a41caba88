"""What programs ask over HTTP, with a key."""
