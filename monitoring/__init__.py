"""What to watch, whom to tell, what to show: the Django project and its one app."""
