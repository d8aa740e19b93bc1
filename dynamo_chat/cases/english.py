"""A thousand characters of English, for what measures the cost of a message.

A repeated word would not do: the store compresses bodies where that saves a write unit, and it
would shrink to nothing.
"""

from __future__ import annotations

from typing import Final

ENGLISH: Final = """\
The renders came back on Tuesday evening, and almost all are better than we had hoped. The \
harbour scene is finished: the light on the water looks right, and the noise in the shadows has \
gone since the sampling was doubled. The street at night still has a problem. Two of the lamps \
flicker between frames 310 and 340, probably because their cache was baked before the camera \
moved. I would suggest that we bake it again overnight and look at nothing else until then. As \
to the money, four more machines for a week would cost about nine hundred euros, which is less \
than one day of waiting. Could you ask the client whether the closing shot may be six seconds \
longer? The music needs room to end, and at present it is cut off in the middle of a bar. I have \
put the files in the usual folder, with the date in their names, and a list of the settings \
beside them. If anything is missing, write to me before Friday; after that I am on a train \
without a connection until Sunday, and will answer on Monday.\
"""
