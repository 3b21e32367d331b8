"""Questions put to a model, its responses judged, sampled, evaluated and compared."""
