"""The shop itself: twelve services, what they do for a request, and how often each request is made.

In: nothing. Out: SERVICES and TRAFFIC. Latencies are medians in milliseconds.
"""

from tracebraid.jobs.shop.model import Call, Endpoint, External, Publish, Query, Service, Together, Work

GATEWAY = Service("gateway", "go", "zap", "3.11.2", pods=4)
CATALOG = Service("catalog", "java", "logstash", "1.42.0")
SEARCH = Service("search", "python", "structlog", "0.19.4", pods=2)
CART = Service("cart", "nodejs", "pino", "2.8.1")
CHECKOUT = Service("checkout", "java", "ecs", "1.17.3")
PAYMENT = Service("payment", "go", "datadog", "2.3.4")
INVENTORY = Service("inventory", "java", "logback", "5.0.1", pods=2)
SHIPPING = Service("shipping", "rust", "logfmt", "0.9.7", pods=2)
AUTH = Service("auth", "go", "zerolog", "4.2.0", pods=2)
RECOMMENDATION = Service("recommendation", "python", "python-json", "0.31.0", pods=2)
EMAIL = Service("email", "nodejs", "otlp", "1.3.0", pods=1)
ORDERS = Service("orders", "java", "otlp", "6.4.2")
SERVICES = (GATEWAY, CATALOG, SEARCH, CART, CHECKOUT, PAYMENT, INVENTORY, SHIPPING, AUTH, RECOMMENDATION, EMAIL, ORDERS)

ACQUIRER = "api.acquirer.example"

_verify = Endpoint(AUTH, "shop.Auth/Verify", "token of {user} verified", 0.6, (Query("redis", "GET", "sessions", 0.5),))
_login = Endpoint(
    AUTH,
    "POST /api/login",
    "login of {user}",
    2.0,
    (Query("postgresql", "SELECT", "accounts", 2.2), Work("argon2.verify", 38.0), Query("redis", "SET", "sessions", 0.6)),
)
_product = Endpoint(
    CATALOG,
    "GET /api/products/{id}",
    "looking up product {item}",
    1.4,
    (Query("redis", "GET", "products", 0.5), Query("postgresql", "SELECT", "products", 3.5, chance=0.2)),
)
_products = Endpoint(CATALOG, "shop.Catalog/BatchGet", "loading a batch of products", 2.0, (Query("postgresql", "SELECT", "products", 4.5),))
_search = Endpoint(
    SEARCH,
    "GET /api/search",
    "searching for {query}",
    3.0,
    (Work("query.parse", 0.8), Query("elasticsearch", "search", "products", 14.0), Work("hits.rank", 4.0), Call(_products)),
)
_recommend = Endpoint(
    RECOMMENDATION,
    "GET /api/recommendations/{id}",
    "recommending beside {item}",
    2.5,
    (Query("redis", "MGET", "features", 0.8), Work("model.rank", 9.0), Call(_products, chance=0.4)),
)
_stock = Endpoint(INVENTORY, "shop.Inventory/Check", "checking stock of {item}", 1.1, (Query("mysql", "SELECT", "stock", 1.9),))
_reserve = Endpoint(
    INVENTORY,
    "shop.Inventory/Reserve",
    "reserving {item} for {order}",
    1.8,
    (Query("mysql", "SELECT", "stock", 1.9), Query("mysql", "UPDATE", "stock", 3.1), Query("mysql", "INSERT", "reservations", 2.7)),
)
_cart_get = Endpoint(CART, "GET /api/cart", "reading the cart of {user}", 1.0, (Query("redis", "HGETALL", "carts", 0.6),))
_cart_add = Endpoint(
    CART,
    "POST /api/cart/items",
    "adding {item} to the cart of {user}",
    1.3,
    (Call(_stock), Query("redis", "HSET", "carts", 0.7), Query("redis", "EXPIRE", "carts", 0.5)),
)
_quote = Endpoint(
    SHIPPING,
    "shop.Shipping/Quote",
    "quoting shipping of {order}",
    0.9,
    (External("rates.carrier.example", "GET", "/v2/rates", 45.0), Work("packing.solve", 3.0)),
)
_charge = Endpoint(
    PAYMENT,
    "shop.Payment/Charge",
    "charging the card for {order}",
    1.6,
    (
        Query("postgresql", "INSERT", "charges", 2.8),
        Work("fraud.score", 6.0),
        External(ACQUIRER, "POST", "/v1/authorizations", 95.0),
        Query("postgresql", "UPDATE", "charges", 2.6),
    ),
)
_send = Endpoint(
    EMAIL,
    "process emails",
    "sending the confirmation of {order}",
    4.0,
    (Work("template.render", 7.0), External("smtp.relay.example", "POST", "/v3/messages", 110.0)),
)
_ship = Endpoint(SHIPPING, "process orders", "shipping {order}", 1.5, (Work("label.print", 5.0), External("rates.carrier.example", "POST", "/v2/labels", 80.0)))
_record = Endpoint(
    ORDERS,
    "process orders",
    "recording {order}",
    2.2,
    (Query("postgresql", "INSERT", "orders", 3.4), Query("postgresql", "INSERT", "order_lines", 4.0), Publish("emails", (_send,))),
)
_history = Endpoint(ORDERS, "GET /api/orders", "listing the orders of {user}", 1.9, (Query("postgresql", "SELECT", "orders", 5.2),))
_checkout = Endpoint(
    CHECKOUT,
    "POST /api/checkout",
    "checking out {order} for {user}",
    3.0,
    (
        Call(_cart_get),
        Together((Call(_products), Call(_reserve), Call(_quote))),
        Work("total.compute", 1.2),
        Call(_charge, timeout_ms=4000),
        Publish("orders", (_record, _ship)),
    ),
)


def _public(name: str, says: str, own_ms: float, *calls: Call | Together) -> Endpoint:
    return Endpoint(GATEWAY, name, says, own_ms, (Call(_verify), *calls))


# Requests at the front door, with their share of the traffic.
TRAFFIC: tuple[tuple[Endpoint, float], ...] = (
    (_public("GET /products/{id}", "page of product {item}", 0.9, Together((Call(_product), Call(_recommend)))), 38),
    (_public("GET /search", "search page for {query}", 0.8, Call(_search)), 20),
    (_public("POST /cart/items", "cart change by {user}", 0.7, Call(_cart_add)), 13),
    (_public("GET /cart", "cart page of {user}", 0.7, Call(_cart_get), Call(_recommend, chance=0.5)), 7),
    (Endpoint(GATEWAY, "POST /login", "login page for {user}", 0.6, (Call(_login),)), 4),
    (_public("GET /orders", "order page of {user}", 0.7, Call(_history)), 4),
    (_public("POST /checkout", "checkout by {user}", 1.1, Call(_checkout)), 14),
)
