"""What units do to each other: how far their effects reach, and whether two methods see the same."""
