"""The example pages, at /examples/ of a broker that was asked for them."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

_INSTALLED = Path(__file__).with_name("examples_browser")
_CHECKOUT = Path(__file__).parents[3] / "examples" / "browser"
_TYPES = {"index.html": "text/html", "msgpack.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src *; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def mount(app: web.Application) -> None:
    """Serve them. These files and no others: there is nothing that a path could lead to."""
    directory = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    pages = {name: (directory / name).read_text(encoding="utf-8") for name in _TYPES}

    async def page(request: web.Request) -> web.Response:
        name = request.match_info.get("name") or "index.html"
        if name not in pages:
            raise web.HTTPNotFound(text=f"the examples are {', '.join(pages)}\n")
        return web.Response(text=pages[name], content_type=_TYPES[name], headers=_HEADERS)

    async def to_the_page(request: web.Request) -> web.Response:
        raise web.HTTPFound("/examples/")

    app.router.add_get("/examples", to_the_page)
    app.router.add_get("/examples/{name:[a-z.]*}", page)
