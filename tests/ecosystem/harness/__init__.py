"""Programs that run kernels or are run by them, each as its users start it."""
