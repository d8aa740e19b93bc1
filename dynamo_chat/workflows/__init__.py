"""Operations across domains: only this package imports several of them."""
