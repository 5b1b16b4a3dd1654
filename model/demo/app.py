"""The page: an ECG on the left, the conversation about it on the right, one below the other on a phone."""

import html
from pathlib import Path

import gradio as gr

from cardiolect.model.cli.prompts import ADVICE, choices
from cardiolect.model.demo.callbacks import Callbacks, told
from cardiolect.model.demo.export import DISCLAIMER
from cardiolect.model.demo.session import MAX_QUESTION, MAX_TEMPERATURE, MAX_TOKENS, Session
from cardiolect.model.demo.uploads import KINDS

STYLE = Path(__file__).with_name("page.css")
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACE = ("ui-monospace", "Consolas", "Menlo", "monospace")
ANSWERS_AT_ONCE = 2  # the others wait their turn
READS_AT_ONCE = 1  # the arrays of a long recording take memory
WAITING = 64  # more than that are told to come again
SESSION_SECONDS = 4 * 3600


def theme() -> gr.themes.Base:
    """Fonts of the visitor's own system, so nothing is fetched; buttons dark enough for their white text (WCAG AA)."""
    blue, red = "*primary_700", "#b91c1c"
    return gr.themes.Default(font=SYSTEM_FONTS, font_mono=MONOSPACE, primary_hue="blue").set(
        button_primary_background_fill=blue,
        button_primary_background_fill_dark=blue,
        button_cancel_background_fill=red,
        button_cancel_background_fill_dark=red,
    )


def build_page(do: Callbacks) -> gr.Blocks:
    """The widgets and what they call; names of endpoints are those of `Callbacks`."""
    first = next(iter(do.examples))
    _, sentence, paper, kept, strip, tokens, *_ = do.examples[first]
    info = do.chat.checkpoint.info
    with gr.Blocks(title="Cardiolect", analytics_enabled=False) as page:
        # One that was forgotten begins without an ECG, whatever its page still shows.
        session = gr.State(Session(), time_to_live=SESSION_SECONDS)
        page.load(
            lambda now: do.begin(first) if now.codes is None else now,
            session,
            session,
            api_visibility="private",
            queue=False,
        )
        gr.HTML(f'<div id="disclaimer" role="note"><b>{DISCLAIMER}.</b></div>')
        gr.HTML(f"<h1>Cardiolect</h1><p>Ask a language model about a 12-lead ECG. {ADVICE}</p>")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                with gr.Row(elem_id="source"):
                    with gr.Column(scale=1, min_width=280):
                        files = gr.File(file_count="multiple", label="One recording", height=150, elem_id="files")
                        gr.HTML(f"<p class='facts'>{KINDS}</p>")
                    example = gr.Radio(
                        list(do.examples), value=first, label="or a simulated ECG", scale=1, min_width=280
                    )
                about = gr.HTML(sentence, elem_id="about")
                picture = {"show_label": False, "format": "png", "buttons": ["fullscreen"], "interactive": False}
                with gr.Tabs():
                    with gr.Tab("ECG"):
                        paper = gr.Image(paper, **picture, alt_text="12-lead ECG on paper", elem_classes="paper")
                    with gr.Tab("From tokens", render_children=True):
                        kept = gr.Image(
                            kept, **picture, alt_text="the ECG and its reconstruction", elem_classes="paper"
                        )
                    with gr.Tab("Trace answer", render_children=True):
                        gr.HTML(
                            "<p class='facts'>When in the ECG the last yes or no came from, by integrated "
                            "gradients: shaded more where more.</p>"
                        )
                        trace = gr.Button("Trace the last answer", size="sm")
                        traced = gr.Image(None, **picture, alt_text="the ECG shaded by weight", elem_classes="paper")
                strip = gr.Image(
                    strip, **picture, alt_text="codes of the ECG as colours along time", elem_classes="paper"
                )
                with gr.Accordion("Tokens as text", open=False):
                    tokens = gr.Textbox(
                        tokens,
                        show_label=False,
                        lines=4,
                        max_lines=8,
                        interactive=False,
                        buttons=["copy"],
                        elem_id="tokens",
                    )
            with gr.Column(scale=2, min_width=320):
                talk = gr.Chatbot(
                    label="Conversation",
                    height=360,
                    render_markdown=False,
                    allow_tags=False,
                    feedback_options=None,
                    buttons=["copy_all"],
                    placeholder="No question yet.",
                    elem_id="talk",
                )
                status = gr.Markdown("", elem_id="status")
                prompt = gr.Dropdown(choices(info), value=None, label="Pick a prompt", elem_id="prompt")
                question = gr.Textbox(
                    label="or type a question",
                    lines=1,
                    max_lines=4,
                    max_length=MAX_QUESTION,
                    elem_id="question",
                    placeholder="Does this ECG show ...?",
                )
                with gr.Row():
                    ask = gr.Button("Ask", variant="primary", min_width=90, elem_id="ask")
                    report = gr.Button("Report", min_width=90, elem_id="report")
                    stop = gr.Button("Stop", variant="stop", min_width=70, elem_id="stop")
                with gr.Row():
                    forget = gr.Button("New conversation", size="sm", min_width=140)
                    export = gr.Button("Export conversation", size="sm", min_width=140)
                if do.feedback is not None:
                    with gr.Row():
                        good = gr.Button("Good answer", size="sm", min_width=140, elem_id="good")
                        bad = gr.Button("Bad answer", size="sm", min_width=140, elem_id="bad")
                    gr.HTML(
                        "<p class='facts'>Kept of a rating: questions and answers as typed, never the ECG. "
                        "Type no names.</p>"
                    )
                exported = gr.File(label="Conversation", visible=False, interactive=False)
                with gr.Accordion("Patient and settings", open=False):
                    with gr.Row():
                        age = gr.Number(None, label="Age (optional)", min_width=120)
                        sex = gr.Dropdown(
                            [("not stated", ""), "female", "male"], value="", label="Sex (optional)", min_width=120
                        )
                    most = gr.Slider(1, MAX_TOKENS, value=200, step=1, label="Most tokens of an answer")
                    temperature = gr.Slider(
                        0, MAX_TEMPERATURE, value=0, step=0.1, label="Temperature (0: always the most probable token)"
                    )
        gr.HTML(
            f"<p class='facts'>Checkpoint {html.escape(do.fingerprint)} on {do.chat.checkpoint.model.device.type}; "
            f"files are deleted, nothing of an ECG is kept.</p>"
        )

        view = [session, about, paper, kept, strip, tokens, traced, talk, status]
        reading = {"concurrency_id": "reading", "concurrency_limit": READS_AT_ONCE, "show_progress": "minimal"}
        answering = {
            "outputs": [session, talk, status, question, traced],
            "concurrency_id": "model",
            "concurrency_limit": ANSWERS_AT_ONCE,
            "trigger_mode": "once",
            "show_progress": "minimal",
        }
        how = [age, sex, most, temperature, session]
        asking = [
            gr.on([ask.click, question.submit], told(do.ask), [question, *how], api_name="ask", **answering),
            report.click(told(do.report), how, api_name="report", **answering),
        ]
        tracing = trace.click(
            told(do.trace),
            [session],
            [traced],
            api_name="trace",
            concurrency_id="model",
            concurrency_limit=ANSWERS_AT_ONCE,
            show_progress="minimal",
        )
        reading["cancels"] = [*asking, tracing]  # those that wait; what has begun ends with its session's lease
        files.upload(told(do.show_upload), [files, session], view, api_name="upload", **reading).then(
            lambda: (None, None), None, [files, example], api_visibility="private", show_progress="hidden"
        )
        example.input(told(do.show_example), [example, session], view, api_name="example", **reading)
        prompt.input(lambda text: text or "", [prompt], [question], api_visibility="private", queue=False)
        stop.click(None, cancels=asking, api_visibility="private")
        gr.on(
            [forget.click, talk.clear],
            told(do.forget),
            [session],
            [session, talk, status, traced],
            api_name="forget",
            cancels=asking,
        )
        export.click(told(do.export), [session], [exported], api_name="export")
        if do.feedback is not None:
            good.click(told(do.rate_good), [session], [session, status], api_name="good")
            bad.click(told(do.rate_bad), [session], [session, status], api_name="bad")
    return page.queue(max_size=WAITING, api_open=False)
