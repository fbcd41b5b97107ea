"""A monorepo's own packages: BUILD files read as data, the components they declare, and the rules R1 to R11."""
