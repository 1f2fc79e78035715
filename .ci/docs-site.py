"""Leads what a page links to outside of docs/, and folders, to the repository, where a reader of the site finds them."""

import os
import posixpath
import re

LINK = re.compile(r"\]\(([^):#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, files):
    root = os.path.dirname(config.config_file_path)
    folder = posixpath.dirname("docs/" + page.file.src_uri)

    def to_repository(match):
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        if target.startswith("docs/") and not os.path.isdir(os.path.join(root, target)):
            return match[0]
        return f"]({config.repo_url.rstrip('/')}/blob/main/{target}{match[2] or ''})"

    return LINK.sub(to_repository, markdown)
