"""
Data that lies elsewhere, brought here: `sources` (where a file is read), `fetching` (one file, once, whole
and verified), `cache` (files by their content), `learned` (content that was found out earlier), `references`
(from a plan to these); `web` (a file at ``https://``), with `addresses` (which machines may be asked) and
`hops` (one question, through redirects).
"""
