"""Glucose monitors: Dexcom Clarity, FreeStyle Libre, Tidepool and Nightscout, in one form (:mod:`.source`)."""
