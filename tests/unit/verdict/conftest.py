from hypothesis import settings

# A busy machine is no failure of a parser; time is asserted where time is the subject.
settings.register_profile("verdict", deadline=None)
settings.load_profile("verdict")
