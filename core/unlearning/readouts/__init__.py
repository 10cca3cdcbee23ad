"""Experiments that could refute the claim that a model has forgotten.

The read-outs of Golatkar et al. (Mixed-Privacy Forgetting, CVPR 2021, section 5) and the
membership attacks of Carlini et al. (2022) and Hayes et al. (2024), each beside a model
retrained without the erased samples, and held against the bound that was computed. ``run``
begins them; they see a model only through ``model.ModelUnderTest``.
"""
