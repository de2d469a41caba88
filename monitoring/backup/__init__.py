"""One file with everything that an installation knows, and the way back. Needs no Django: it must work where that can't start."""
