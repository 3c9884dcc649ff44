"""A font with Chinese characters for pictures, wherever this machine has one."""

from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# Sans serif and simplified first; any other font that has the characters will do.
_PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC"),
    *("Microsoft YaHei", "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei"),
    *("Noto Sans CJK JP", "Heiti SC", "Arial Unicode MS", "Droid Sans Fallback"),
)
_SAMPLE = "谣言与真相的"
NO_FONT = (
    "no font with Chinese characters is installed; install one, e.g. the package fonts-noto-cjk "
    "(Debian, Ubuntu) or google-noto-sans-cjk-fonts (Fedora)"
)


def find_chinese_font() -> str | None:
    """Finds a font that has simplified Chinese characters and makes matplotlib know it.

    Returns:
        The name of its family, or None where no font of this machine has them.
    """
    found = []
    for path in font_manager.findSystemFonts():
        try:
            font = FT2Font(path)
        except (RuntimeError, OSError):  # not every file in a folder of fonts is one
            continue
        if all(font.get_char_index(ord(char)) for char in _SAMPLE):
            name = font.family_name
            rank = _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)
            found.append((rank, font.style_name != "Regular", Path(path).name, path))
    if not found:
        return None
    font_path = min(found)[-1]
    font_manager.fontManager.addfont(font_path)
    return str(FT2Font(font_path).family_name)
