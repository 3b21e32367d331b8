"""Models that only write text (teachers, students): two engines, and `load.load_engine`, which picks one by name."""
