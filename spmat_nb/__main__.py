"""`python -m spmat_nb`: the commands of `spmat_nb.cli`."""

import sys

from .cli import main

sys.exit(main())
