"""A plan of teachers, pruners, methods and students: read, checked and laid out as a grid of cells."""
