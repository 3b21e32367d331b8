"""What greedy pruning costs on a model, a device and a chain: `measure_chain`, and `tokimp bench` around it."""
