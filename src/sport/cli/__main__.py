"""``python -m sport.cli``, for where no console script is installed."""

from sport.cli.door import main

main()
