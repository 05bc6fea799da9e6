"""What Slack's own SDK builds is taken as it is: no field of its models is unknown here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from slack_sdk.models import blocks as models
from slack_sdk.models.blocks import block_elements, blocks

from bot.playground import fields
from bot.playground.block_kit import Surface, check_blocks, check_view

WORDS = models.PlainTextObject(text="words", emoji=True)
MARKED = models.MarkdownTextObject(text="*words*", verbatim=True)
OPTIONS = [models.Option(text="one", value="1", description="the first"), models.Option(text="two", value="2")]
SURE = models.ConfirmObject(title="Sure?", text="It restarts.", confirm="Yes", deny="No", style="danger")
RICH = models.RichTextBlock(
    elements=[models.RichTextSectionElement(elements=[models.RichTextElementParts.Text(text="words")])]
)


def field(element: Any) -> Any:
    return models.InputBlock(label="Label", hint="Hint", element=element, optional=True, dispatch_action=False)


IN_A_MESSAGE = [
    models.SectionBlock(text=MARKED, fields=[WORDS, MARKED], expand=True),
    models.SectionBlock(
        text="words", accessory=models.ImageElement(image_url="https://example.com/i.png", alt_text="i")
    ),
    models.HeaderBlock(text="words"),
    models.DividerBlock(),
    models.ContextBlock(elements=[MARKED, WORDS]),
    models.ImageBlock(image_url="https://example.com/i.png", alt_text="i", title="title"),
    models.MarkdownBlock(text="# words"),
    RICH,
    models.ActionsBlock(
        elements=[
            models.ButtonElement(text="Go", action_id="go", value="v", style="primary", confirm=SURE),
            models.LinkButtonElement(text="Open", url="https://example.com", action_id="open"),
            models.OverflowMenuElement(action_id="more", options=OPTIONS, confirm=SURE),
            models.StaticSelectElement(
                action_id="one", placeholder="which", options=OPTIONS, initial_option=OPTIONS[1]
            ),
            models.ExternalDataSelectElement(action_id="ext", placeholder="which", min_query_length=1),
            models.UserSelectElement(action_id="user", placeholder="who", initial_user="UALICE"),
            models.ConversationSelectElement(
                action_id="where",
                placeholder="where",
                filter=models.ConversationFilter(include=["public"]),
                default_to_current_conversation=True,
            ),
            models.ChannelSelectElement(action_id="channel", placeholder="where", initial_channel="C0INC"),
            models.DatePickerElement(action_id="date", initial_date="2026-11-26"),
            models.TimePickerElement(action_id="time", initial_time="09:00", timezone="Europe/Berlin"),
            models.DateTimePickerElement(action_id="moment", initial_date_time=1_750_000_000),
            models.CheckboxesElement(action_id="ticks", options=OPTIONS, initial_options=OPTIONS[:1]),
            models.RadioButtonsElement(action_id="radio", options=OPTIONS, initial_option=OPTIONS[0]),
        ]
    ),
]
IN_A_MODAL = [
    field(models.PlainTextInputElement(action_id="t", multiline=True, min_length=1, max_length=9, initial_value="x")),
    field(models.NumberInputElement(action_id="n", is_decimal_allowed=True, min_value=1, max_value=9, initial_value=2)),
    field(models.EmailInputElement(action_id="e", initial_value="a@example.com", focus_on_load=True)),
    field(models.UrlInputElement(action_id="u", initial_value="https://example.com")),
    field(models.RichTextInputElement(action_id="r", initial_value=RICH)),
    field(block_elements.FileInputElement(action_id="f", filetypes=["png"], max_files=2)),
    field(
        models.StaticMultiSelectElement(action_id="m", options=OPTIONS, initial_options=OPTIONS, max_selected_items=2)
    ),
    field(models.ExternalDataMultiSelectElement(action_id="x", min_query_length=0, max_selected_items=3)),
    field(models.UserMultiSelectElement(action_id="p", initial_users=["UALICE"])),
    field(models.ConversationMultiSelectElement(action_id="v", initial_conversations=["C0INC"])),
    field(models.ChannelMultiSelectElement(action_id="h", initial_channels=["C0INC"])),
]


@pytest.mark.parametrize("block", IN_A_MESSAGE, ids=lambda block: type(block).__name__)
def test_a_message_may_hold_what_the_sdk_builds(block: Any) -> None:
    assert check_blocks([block.to_dict()], surface=Surface.MESSAGE) == []


@pytest.mark.parametrize("block", IN_A_MODAL, ids=lambda block: type(block.element).__name__)
def test_a_modal_may_hold_what_the_sdk_builds(block: Any) -> None:
    view = {"type": "modal", "title": WORDS.to_dict(), "submit": WORDS.to_dict(), "blocks": [block.to_dict()]}
    assert check_view(view) == []


@pytest.mark.parametrize("known", [fields.OF_BLOCKS, fields.OF_ELEMENTS], ids=["blocks", "elements"])
def test_no_field_of_a_model_is_unknown(known: dict[str, frozenset[str]]) -> None:
    module = blocks if known is fields.OF_BLOCKS else block_elements
    for name, model in inspect.getmembers(module, inspect.isclass):
        kind = getattr(model, "type", None)
        if model.__module__ == module.__name__ and isinstance(kind, str) and kind in known:
            attributes = model.__new__(model).attributes
            placeholders = {"placeholder", "alt_text"}  # inherited by models whose elements have none
            assert set(attributes) - known[kind] <= placeholders, name
