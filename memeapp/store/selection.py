"""Which memes a session may be opened on, and where they came from."""

from __future__ import annotations

from memeapp.judging import Selection
from memeapp.store.connections import Connections

_DATA_SET = "substr(origin, 1, instr(origin || '/', '/') - 1)"
_NOT_A_VISITORS = f"{_DATA_SET} != 'visitor'"


class Selections(Connections):
    """Memes to choose from."""

    def chosen_memes(self, selection: Selection) -> list[str]:
        """The ids of the memes that a selection means, in the order they came; those that chance
        draws (`most`) are other ones each time."""
        rows = self._db.execute(
            "SELECT id FROM (SELECT id, number FROM memes"
            f" WHERE {_NOT_A_VISITORS} AND (NOT :unlabelled OR vote_count = 0)"
            f" AND (:data_set = '' OR {_DATA_SET} = :data_set)"
            " ORDER BY CASE WHEN :most < 0 THEN number ELSE random() END LIMIT :most)"
            " ORDER BY number",
            {
                "unlabelled": selection.unlabelled,
                "data_set": selection.data_set,
                "most": -1 if selection.most is None else selection.most,
            },
        )
        return [meme_id for (meme_id,) in rows]

    def without_visitors(self, meme_ids: list[str]) -> list[str]:
        """These memes but for those that visitors brought; unknown ids stay."""
        brought = f"SELECT id FROM memes WHERE NOT {_NOT_A_VISITORS}"
        visitors = {meme_id for (meme_id,) in self._db.execute(brought)}
        return [meme_id for meme_id in meme_ids if meme_id not in visitors]

    def data_sets(self) -> dict[str, int]:
        """Where memes came from → how many did; visitors are left out."""
        return dict(
            self._db.execute(
                f"SELECT {_DATA_SET} AS data_set, count(*) FROM memes WHERE {_NOT_A_VISITORS}"
                " GROUP BY data_set ORDER BY data_set"
            ).fetchall()
        )
