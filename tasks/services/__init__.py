"""Outside services, one file each: the public index, pip's configuration, the interpreters of this machine."""
