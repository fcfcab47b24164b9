"""``python -m lacewing`` is the ``lacewing`` command."""

import sys

from lacewing.cli import main

sys.exit(main())
