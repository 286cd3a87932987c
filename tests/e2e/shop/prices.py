"""Prices with discounts."""


class Basket:
    def __init__(self, items, customer):
        self.items = items
        self.customer = customer
        self.password = "hunter2-hunter2-hunter2"


def price(basket):
    total = sum(basket.items)
    discount = total // 10 if total > 100 else 0  # probe: discount

    # no code stands on the line above; probe: comment
    return total - discount  # probe: total


def shipping(total, country):
    if country == "moon":
        return 1000  # probe: never
    return 5 if total < 50 else 0
