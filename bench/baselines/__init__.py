"""What benchmarks compare with: other methods, and the same results computed without our optimizations."""
