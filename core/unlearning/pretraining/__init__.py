"""Making cores without anybody's data: contrastive learning, consolidation, and the choice of one.

``configuration`` says what is asked for and ``building`` makes a core package of it: ``cids`` or
``consolidation`` says what is minimised over ``images``, ``training`` does so, and ``runs`` keeps
how far it is. ``selection`` chooses among cores, for a task, or for the ``episodes`` of few shots.
"""
