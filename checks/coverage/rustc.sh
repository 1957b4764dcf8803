#!/bin/sh
# The compiler for the workspace's own packages: what it builds counts what is run.
exec "$@" -Cinstrument-coverage
