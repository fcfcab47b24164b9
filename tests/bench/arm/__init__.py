"""Executed instructions of Lacewing and its peers on emulated ARM processors; modelled cycles of our inner loops."""
