"""The walls around a box, one module each: every one is put up before the first untrusted byte, and is inherited."""
