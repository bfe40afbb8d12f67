"""Many cells: the plan of them, processes of this machine that work it off, and engines that use other machines."""
