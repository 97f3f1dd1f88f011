"""One violation for each rule, planted into a clean history: the checker must find that one and no other."""

from __future__ import annotations

from pathlib import Path

from .checker import check
from .events import Complete, Connected, Dead, Invoked, Missed, Opened, Stored, line_of, record_of
from .history import EPOCH, TOPIC, A, B, C, D, clean, delivered, final, message, published, settled, timed, verdict_of
from .recorder import Recorder, read
from .verdict import RULES, Verdict


def broken(verdict: Verdict) -> set[str]:
    return set(verdict.broken)


def test_a_clean_history_passes() -> None:
    verdict = verdict_of(clean())

    assert verdict.lines() == []
    assert (verdict.figures.acks, verdict.figures.redeliveries, verdict.figures.resumes) == (3, 1, 2)


def test_an_acknowledged_message_that_is_not_there_at_the_end_is_lost() -> None:
    history = clean()
    history["p"] += published(4, 4)

    assert broken(verdict_of(history)) == {"lost"}


def test_an_acknowledged_message_of_an_earlier_epoch_is_lost_on_disk_and_not_in_memory() -> None:
    history = clean()
    history["p"] += [Invoked(TOPIC, message(4)), Stored(TOPIC, message(4), EPOCH - 1, 0)]

    assert broken(verdict_of(history)) == {"lost"}
    assert broken(verdict_of(history, durable=False)) == set()


def test_a_message_that_was_read_and_is_not_there_at_the_end_has_vanished() -> None:
    history = clean()
    history["p"] += published(4, None)
    history["reader"].insert(-1, delivered("r", 4, message(4)))

    assert broken(verdict_of(history)) == {"vanished"}


def test_a_publishers_messages_that_changed_places_are_reordered() -> None:
    history = clean()
    history["p"] += published(5, None) + published(4, None)
    history["broker"].append(final(4, message(5), message(4)))
    for reader in ("reader", "another"):
        history[reader].pop()
    history["member"] += settled("m", 4, 5)

    assert broken(verdict_of(history)) == {"reordered"}


def test_a_position_that_is_one_message_to_its_publisher_and_another_to_a_reader_is_found() -> None:
    history = clean()
    history["p"] += [Invoked(TOPIC, message(4)), Stored(TOPIC, message(4), EPOCH, 3)]

    assert broken(verdict_of(history)) == {"position"}


def test_a_message_that_a_reader_was_not_handed_is_a_hole() -> None:
    history = clean()
    history["another"][2:4] = [delivered("s", 2, C)]

    assert broken(verdict_of(history)) == {"consecutive"}


def test_a_hole_in_the_middle_is_found_unless_a_gap_notice_covers_it() -> None:
    history = clean()
    history["reader"][2:5] = [delivered("r", 0, A), delivered("r", 2, C, D)]
    covered = clean()
    covered["reader"][2:5] = [delivered("r", 0, A), Missed("r", TOPIC, EPOCH, 1, 2, "evicted"), delivered("r", 2, C, D)]

    assert broken(verdict_of(history)) == {"consecutive"}
    assert broken(verdict_of(covered)) == set()


def test_a_hole_before_a_gap_notice_is_found() -> None:
    history = clean()
    history["reader"][2:5] = [delivered("r", 0, A), Missed("r", TOPIC, EPOCH, 2, 3, "evicted"), delivered("r", 3, D)]

    assert broken(verdict_of(history)) == {"consecutive"}


def test_a_reader_from_the_earliest_that_began_too_late_is_found() -> None:
    history = clean()
    history["reader"][2] = delivered("r", 1, B)

    assert broken(verdict_of(history)) == {"consecutive"}


def test_a_reader_from_the_earliest_that_got_nothing_at_all_is_found() -> None:
    history = clean()
    history["reader"] = [Connected(), Opened("r", "trades.>", "earliest"), Complete("r")]

    assert broken(verdict_of(history)) == {"consecutive"}


def test_a_message_that_is_handed_out_twice_is_found() -> None:
    history = clean()
    history["another"].insert(3, delivered("s", 2, C))

    assert broken(verdict_of(history)) == {"consecutive"}


def test_a_reconnection_that_left_one_out_is_a_bad_resume() -> None:
    history = clean()
    history["reader"][4] = delivered("r", 3, D)

    assert broken(verdict_of(history)) == {"resume"}


def test_a_reconnection_that_repeats_one_is_a_bad_resume() -> None:
    history = clean()
    history["reader"][4] = delivered("r", 1, B, C, D)

    assert broken(verdict_of(history)) == {"resume"}


def test_a_subscription_from_a_position_that_begins_elsewhere_is_a_bad_resume() -> None:
    history = clean()
    history["another"][1] = Opened("s", TOPIC, [EPOCH, 1])

    assert broken(verdict_of(history)) == {"resume"}


def test_another_epoch_without_a_word_is_found_and_an_announced_one_is_not() -> None:
    history = clean()
    history["p"].insert(0, Invoked(TOPIC, message(0)))
    history["reader"].insert(2, delivered("r", 0, message(0), epoch=EPOCH - 1))
    announced = clean()
    announced["p"].insert(0, Invoked(TOPIC, message(0)))
    announced["reader"][2:2] = [
        delivered("r", 0, message(0), epoch=EPOCH - 1),
        Missed("r", "trades.>", EPOCH - 1, None, None, "epoch"),
    ]

    assert broken(verdict_of(history, durable=False)) == {"epoch"}
    assert broken(verdict_of(announced, durable=False)) == set()


def test_a_message_that_nobody_sent_is_found() -> None:
    history = clean()
    history["p"] = history["p"][:-1]

    assert broken(verdict_of(history)) == {"unsent"}


def test_a_message_with_other_bytes_than_were_sent_is_found() -> None:
    history = clean()
    history["p"][-1] = Invoked(TOPIC, message(3), acked=False)
    damaged = type(D)(D.publisher, D.number, "00")
    history["broker"][-1] = final(2, C, damaged)
    history["reader"][4] = delivered("r", 2, C, damaged)
    history["another"][3] = delivered("s", 3, damaged)
    history["other member"][3] = delivered("n", 3, damaged)

    assert broken(verdict_of(history)) == {"unsent"}


def test_a_message_in_another_topic_than_it_was_sent_to_is_found() -> None:
    history = clean()
    history["p"][-1] = Invoked("trades.b", message(3))

    assert broken(verdict_of(history)) == {"unsent"}


def test_a_message_that_was_refused_and_stands_there_is_found() -> None:
    history = clean()
    history["broker"].append(final(4, message(2, "q")))
    for reader in ("reader", "another"):
        history[reader].pop()
    history["member"] += settled("m", 4)

    assert broken(verdict_of(history)) == {"refused"}


def test_a_message_that_was_stored_twice_is_found() -> None:
    history = clean()
    history["broker"].append(final(4, D))
    for reader in ("reader", "another"):
        history[reader].pop()
    history["member"] += settled("m", 4)

    assert broken(verdict_of(history)) == {"repeated"}


def test_a_message_that_its_group_never_acknowledged_is_found_unless_it_is_a_dead_letter() -> None:
    history = clean()
    history["other member"].pop()
    buried = clean()
    buried["other member"].pop()
    buried["broker"].append(Dead("g", TOPIC, 3))

    assert broken(verdict_of(history)) == {"unconsumed"}
    assert broken(verdict_of(buried)) == set()


def test_a_message_that_two_members_had_with_the_same_attempt_is_found() -> None:
    history = clean()
    history["other member"][2] = delivered("n", 2, C, attempt=1)

    assert broken(verdict_of(history)) == {"shared"}


def test_attempts_may_begin_anew_where_the_broker_was_killed_meanwhile() -> None:
    history = clean()
    history["other member"][:3] = [Opened("n", "trades.*", "earliest", "g"), *[Connected()] * 3, delivered("n", 2, C)]

    assert broken(verdict_of(history)) == set()


def test_who_is_late_to_say_that_it_is_connected_was_connected_to_the_broker_before() -> None:
    history = clean()
    history["other member"][:3] = [Opened("n", "trades.*", "earliest", "g"), *[Connected()] * 3, delivered("n", 2, C)]
    files = [*map(timed, history.values())]

    # It says so at 3, one after the second start: the second broker, if that can listen by then.
    assert broken(check(files, soonest=0.5)) == set()
    assert broken(check(files, soonest=3.5)) == {"shared"}


def test_a_live_group_hands_a_message_out_once_whatever_the_attempt() -> None:
    history = clean()
    for name, reader in (("member", "m"), ("other member", "n")):
        history[name][1] = Opened(reader, "trades.*", "now", "g", live=True)

    assert broken(verdict_of(history)) == {"shared"}


def test_a_final_read_with_a_hole_is_found() -> None:
    history = clean()
    history["broker"][-2:] = [final(0, A), final(2, C, D)]

    assert "consecutive" in verdict_of(history).broken
    assert verdict_of(history).broken["lost"] == 1


def test_what_is_in_flight_at_a_kill_is_counted() -> None:
    history = clean()
    history["q"] = [Invoked(TOPIC, message(1, "q")), Connected(), Stored(TOPIC, message(1, "q"), EPOCH, 1)]

    figures = verdict_of(history).figures

    assert (figures.kills, figures.kills_in_flight, figures.in_flight) == (1, 1, 1)


def test_events_read_from_a_file_are_those_that_were_written(tmp_path: Path) -> None:
    for name, events in clean().items():
        recorder = Recorder(tmp_path / name)
        recorder.write(*events)
        recorder.close()

    read_again = {name: [event for _, event in read(tmp_path / name)] for name in clean()}

    assert read_again == clean()


def test_a_last_line_that_was_cut_is_no_event(tmp_path: Path) -> None:
    lines = b"".join(line_of(at, event) for at, event in timed(clean()["p"]))
    (tmp_path / "p").write_bytes(lines[:-3])

    assert [event for _, event in read(tmp_path / "p")] == clean()["p"][:-1]
    assert record_of(lines.splitlines()[-1])[1] == clean()["p"][-1]


def test_every_rule_has_been_broken_by_a_test_of_this_file() -> None:
    source = Path(__file__).read_text()

    assert [rule for rule in RULES if f'== {{"{rule}"}}' not in source] == []


def test_no_files_at_all_break_no_rule() -> None:
    assert check([]).holds
