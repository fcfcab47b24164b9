"""``lacewing demo``: the whole way, from training to a measured table, on data that ships with scikit-learn."""
