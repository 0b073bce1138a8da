// Compiled with the shared precompiled header; holds nothing of its own.
