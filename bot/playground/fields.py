"""The fields Slack knows, per sort of block, element and view. It refuses a payload with any other.

Taken from the types of Slack's own two SDKs; where the two differ, a field that either of them has is known here.
"""

from __future__ import annotations

_ACTION = ("type", "action_id")
_SURE = (*_ACTION, "confirm")
_SELECT = (*_SURE, "focus_on_load", "placeholder")
_MULTI_SELECT = (*_SELECT, "max_selected_items")
_TYPED = (*_SURE, "focus_on_load", "placeholder", "dispatch_action_config", "initial_value")
_BUTTON = (*_SURE, "text", "value", "style", "accessibility_label", "alt_text", "visible_to_user_ids")
_STATIC = ("options", "option_groups")
_PICTURE = ("image_url", "slack_file", "alt_text")
_RICH = ("type", "elements")


def _fields(*groups: tuple[str, ...] | str) -> frozenset[str]:
    return frozenset(name for group in groups for name in ((group,) if isinstance(group, str) else group))


def _block(*names: str) -> frozenset[str]:
    return _fields("type", "block_id", names)


OF_BLOCKS: dict[str, frozenset[str]] = {
    "section": _block("text", "fields", "accessory", "expand"),
    "header": _block("text", "level"),
    "divider": _block(),
    "context": _block("elements"),
    "actions": _block("elements"),
    "context_actions": _block("elements"),
    "input": _block("label", "hint", "optional", "element", "dispatch_action"),
    "image": _block("image_url", "slack_file", "alt_text", "title"),
    "markdown": _block("text"),
    "rich_text": _block("elements"),
    "table": _block("rows", "column_settings"),
    "data_table": _block("rows", "caption", "page_size", "row_header_column_index"),
    "data_visualization": _block("title", "chart"),
    "video": _block(
        "video_url", "thumbnail_url", "alt_text", "title", "title_url", "author_name", "provider_name",
        "provider_icon_url", "description",
    ),
    "alert": _block("text", "level"),
    "task_card": _block("task_id", "title", "status", "details", "output", "sources"),
    "plan": _block("title", "tasks"),
    "card": _block("hero_image", "icon", "slack_icon", "title", "subtitle", "body", "subtext", "actions"),
    "carousel": _block("elements"),
    "container": _block(
        "title", "rich_text_title", "subtitle", "child_blocks", "width", "icon", "is_collapsible", "default_collapsed",
        "has_header_divider",
    ),
}  # fmt: skip

OF_ELEMENTS: dict[str, frozenset[str]] = {
    "button": _fields(_BUTTON, "url", "agent_prompt", "agent_prompt_display"),
    "workflow_button": _fields(_BUTTON, "workflow"),
    "icon_button": _fields(_BUTTON, "icon"),
    "feedback_buttons": _fields(_ACTION, "positive_button", "negative_button", "alt_text"),
    "image": _fields("type", _PICTURE),
    "overflow": _fields(_SURE, "options", "alt_text"),
    "checkboxes": _fields(_SELECT, "options", "initial_options"),
    "radio_buttons": _fields(_SELECT, "options", "initial_option"),
    "static_select": _fields(_SELECT, _STATIC, "initial_option"),
    "multi_static_select": _fields(_MULTI_SELECT, _STATIC, "initial_options"),
    "external_select": _fields(_SELECT, "min_query_length", "initial_option"),
    "multi_external_select": _fields(_MULTI_SELECT, "min_query_length", "initial_options"),
    "users_select": _fields(_SELECT, "initial_user"),
    "multi_users_select": _fields(_MULTI_SELECT, "initial_users"),
    "conversations_select": _fields(
        _SELECT, "initial_conversation", "default_to_current_conversation", "filter", "response_url_enabled"
    ),
    "multi_conversations_select": _fields(
        _MULTI_SELECT, "initial_conversations", "default_to_current_conversation", "filter"
    ),
    "channels_select": _fields(_SELECT, "initial_channel", "response_url_enabled"),
    "multi_channels_select": _fields(_MULTI_SELECT, "initial_channels"),
    "datepicker": _fields(_SELECT, "initial_date"),
    "timepicker": _fields(_SELECT, "initial_time", "timezone"),
    "datetimepicker": _fields(_SELECT, "initial_date_time"),
    "plain_text_input": _fields(_TYPED, "multiline", "min_length", "max_length"),
    "email_text_input": _fields(_TYPED),
    "url_text_input": _fields(_TYPED),
    "number_input": _fields(_TYPED, "is_decimal_allowed", "min_value", "max_value"),
    "rich_text_input": _fields(_TYPED, "min_lines", "max_lines"),
    "file_input": _fields(_SELECT, "filetypes", "max_files"),
}

OF_RICH_TEXT: dict[str, frozenset[str]] = {
    "rich_text_section": _fields(_RICH),
    "rich_text_list": _fields(_RICH, "style", "indent", "offset", "border"),
    "rich_text_quote": _fields(_RICH, "border"),
    "rich_text_preformatted": _fields(_RICH, "border", "language"),
}

OF_TEXT: dict[str, frozenset[str]] = {
    "plain_text": _fields("type", "text", "emoji"),
    "mrkdwn": _fields("type", "text", "verbatim"),
}

OF_OPTION = _fields("text", "value", "description")
OF_OVERFLOW_OPTION = OF_OPTION | {"url"}
OF_OPTION_GROUP = _fields("label", "options")
OF_CONFIRM = _fields("title", "text", "confirm", "deny", "style")

_VIEW = ("type", "blocks", "private_metadata", "callback_id", "external_id")
OF_HOME = _fields(_VIEW)
OF_MODAL = _fields(_VIEW, "title", "close", "submit", "clear_on_close", "notify_on_close", "submit_disabled")
