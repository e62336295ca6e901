"""Encoder, contexts and decoder trained together for the eye: what the next codecs come from, a room in the making."""
