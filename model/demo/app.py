"""Layout of the page: the ECG on the left, the conversation on the right; one above the other on a phone."""

import html
from pathlib import Path

import gradio as gr

from cardiolect.data_provider.readers.formats import FORMAT_LIST
from cardiolect.model.cli.ask import answers_alone
from cardiolect.model.demo.callbacks import EXPORTED, Callbacks, errors_as_messages
from cardiolect.model.demo.export import DISCLAIMER
from cardiolect.model.demo.samples import advice, how_sure, prompt_choices
from cardiolect.model.demo.session import MAX_QUESTION, MAX_TEMPERATURE, MAX_TOKENS, Session

STYLE = Path(__file__).with_name("page.css")
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACE = ("ui-monospace", "Consolas", "Menlo", "monospace")
CONCURRENT_ANSWERS = 2  # further ones are queued
CONCURRENT_UPLOADS = 1  # a long recording takes much memory
MAX_QUEUE = 64  # further requests are refused
SESSION_SECONDS = 4 * 3600
# On a phone, where the conversation is below the ECG.
SHOW_ANSWER = "() => { if (innerWidth <= 700) document.querySelector('#talk').scrollIntoView({block: 'end'}); }"


def theme() -> gr.themes.Base:
    """System fonts, so that nothing is fetched; buttons dark enough for white text (WCAG AA)."""
    blue, red = "*primary_700", "#b91c1c"
    return gr.themes.Default(font=SYSTEM_FONTS, font_mono=MONOSPACE, primary_hue="blue").set(
        button_primary_background_fill=blue,
        button_primary_background_fill_dark=blue,
        button_cancel_background_fill=red,
        button_cancel_background_fill_dark=red,
    )


def build_page(callbacks: Callbacks) -> gr.Blocks:
    """The widgets and their callbacks; API endpoints have the names of the methods of `Callbacks`."""
    first = next(iter(callbacks.examples))
    _, description, paper, reconstruction, strip, tokens, *_ = callbacks.examples[first]
    info, representation = callbacks.chat.checkpoint.info, callbacks.chat.representation
    with gr.Blocks(title="Cardiolect", analytics_enabled=False) as page:
        # A session that has expired starts without an ECG, whatever the page still shows.
        session = gr.State(Session(), time_to_live=SESSION_SECONDS)
        page.load(
            lambda current: callbacks.start(first) if current.item is None else current,
            session,
            session,
            api_visibility="private",
            queue=False,
        )
        gr.HTML(f'<div id="disclaimer" role="note"><b>{DISCLAIMER}.</b></div>')
        gr.HTML(
            f"<h1>Cardiolect</h1><p>Ask a language model about a 12-lead ECG. {advice(info)}</p>"
            f"<p class='facts' id='model'>{html.escape(callbacks.introduction)}</p>"
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                gr.HTML("<h2>ECG</h2>")
                with gr.Row(elem_id="source"):
                    with gr.Column(scale=1, min_width=280):
                        files = gr.File(file_count="multiple", label="Upload a recording", height=120, elem_id="files")
                        gr.HTML(f"<p class='facts'>{FORMAT_LIST}</p>")
                    example = gr.Radio(
                        list(callbacks.examples),
                        value=first,
                        label="or choose a simulated ECG",
                        scale=1,
                        min_width=280,
                    )
                with gr.Accordion("Before an upload: part of a long recording, rate and unit", open=False), gr.Row():
                    begin = gr.Number(0, minimum=0, label="From second", min_width=100, elem_id="begin")
                    # Not `gr.Number`: of Gradio 6.31, an empty one shows and sends 0 as soon as it is in sight.
                    rate = gr.Textbox("", label="Rate in Hz, if the file states none", min_width=100, elem_id="rate")
                    unit = gr.Dropdown([("as the file states", ""), "mV", "uV"], value="", label="Unit", min_width=100)
                about = gr.HTML(description, elem_id="about")
                picture = {"show_label": False, "format": "png", "buttons": ["fullscreen"], "interactive": False}
                with gr.Tabs():
                    with gr.Tab("ECG"):
                        paper = gr.Image(paper, **picture, alt_text="12-lead ECG on ECG paper", elem_classes="paper")
                    with gr.Tab("Reconstruction", render_children=True, visible=representation.decodes):
                        reconstruction = gr.Image(
                            reconstruction,
                            **picture,
                            alt_text="the ECG and its reconstruction from tokens",
                            elem_classes="paper",
                        )
                    with gr.Tab("Shading", render_children=True):
                        gr.HTML(
                            "<p class='facts'>Shades the times of the ECG that the last yes or no depends on, in all "
                            "leads alike; darker shading means more (integrated gradients).</p>"
                        )
                        trace = gr.Button("Shade the last yes or no", size="sm", elem_id="trace")
                        caption = gr.HTML("", elem_id="caption")
                        traced = gr.Image(
                            None, **picture, alt_text="the ECG shaded by attribution", elem_classes="paper"
                        )
                with gr.Accordion("What the model is given", open=False, visible=not representation.embeds):
                    strip = gr.Image(
                        strip,
                        visible=strip is not None,
                        **picture,
                        alt_text="codes of the ECG as colours over time",
                        elem_classes="paper",
                    )
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
                gr.HTML("<h2>Questions and answers</h2>")
                talk = gr.Chatbot(
                    label="Conversation",
                    height=300,
                    render_markdown=False,
                    allow_tags=False,
                    feedback_options=None,
                    buttons=["copy_all"],
                    placeholder="No question yet.",
                    elem_id="talk",
                )
                status = gr.Markdown("", elem_id="status")
                prompt = gr.Dropdown(prompt_choices(info), value=None, label="Choose a prompt", elem_id="prompt")
                with gr.Column(elem_id="askbar"):  # at the foot of a phone's screen
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
                if callbacks.feedback is not None:
                    with gr.Row():
                        good = gr.Button("Good answer", size="sm", min_width=140, elem_id="good")
                        bad = gr.Button("Bad answer", size="sm", min_width=140, elem_id="bad")
                    gr.HTML(
                        "<p class='facts'>A rating stores the questions and answers, never the ECG. "
                        "Do not type names.</p>"
                    )
                exported = gr.File(label=EXPORTED, visible=False, interactive=False, elem_id="exported")
                alone = (
                    "Each question is answered on its own, whatever was asked before. " if answers_alone(info) else ""
                )
                gr.HTML(
                    f"<p class='facts'>{alone}A new ECG begins a new conversation; the one before can be downloaded "
                    f"here.</p><p class='facts'>{how_sure(callbacks.chat.calibration)}</p>"
                )
                with gr.Accordion("Patient and settings", open=False):
                    with gr.Row():
                        age = gr.Textbox("", label="Age in years (optional)", min_width=120, elem_id="age")
                        sex = gr.Dropdown(
                            [("not stated", ""), "female", "male"], value="", label="Sex (optional)", min_width=120
                        )
                    max_tokens = gr.Slider(1, MAX_TOKENS, value=200, step=1, label="Maximum tokens per answer")
                    temperature = gr.Slider(
                        0, MAX_TEMPERATURE, value=0, step=0.1, label="Temperature (0: always the most probable token)"
                    )
        gr.HTML(
            f"<p class='facts'>Computed on {callbacks.chat.checkpoint.model.device.type}. Uploaded files are deleted; "
            "no ECG is stored.</p>"
        )

        view = [session, about, paper, reconstruction, strip, tokens, traced, caption, talk, status, exported]
        reading = {"concurrency_id": "reading", "concurrency_limit": CONCURRENT_UPLOADS, "show_progress": "minimal"}
        answering = {
            "outputs": [session, talk, status, question],
            "concurrency_id": "model",
            "concurrency_limit": CONCURRENT_ANSWERS,
            "trigger_mode": "once",
            "show_progress": "minimal",
        }
        options = [age, sex, max_tokens, temperature, session]
        asking = [
            gr.on(
                [ask.click, question.submit],
                errors_as_messages(callbacks.ask),
                [question, *options],
                api_name="ask",
                **answering,
            ),
            report.click(errors_as_messages(callbacks.report), options, api_name="report", **answering),
        ]
        gr.on([ask.click, report.click, question.submit], None, js=SHOW_ANSWER, api_visibility="private")
        tracing = trace.click(
            errors_as_messages(callbacks.trace),
            [session],
            [traced, caption],
            api_name="trace",
            concurrency_id="model",
            concurrency_limit=CONCURRENT_ANSWERS,
            show_progress="minimal",
        )
        # Of the patient and the file before; nobody sees them in a closed accordion.
        of_one_ecg, cleared = [age, sex, begin, rate, unit], ("", "", 0, "", "")
        quietly = {"api_visibility": "private", "show_progress": "hidden"}
        reading["cancels"] = [*asking, tracing]  # those in the queue; running ones end with their session's lease
        files.upload(
            errors_as_messages(callbacks.show_upload),
            [files, begin, rate, unit, session],
            view,
            api_name="upload",
            **reading,
        ).then(lambda: (None, None, *cleared), None, [files, example, *of_one_ecg], **quietly)
        example.input(
            errors_as_messages(callbacks.show_example), [example, session], view, api_name="example", **reading
        ).then(lambda: cleared, None, of_one_ecg, **quietly)
        # Not on input, which a list that is closed without a choice causes too: it would wipe what was typed meanwhile.
        prompt.select(lambda text: text, [prompt], [question], api_visibility="private", queue=False)
        stop.click(None, cancels=asking, api_visibility="private")
        gr.on(
            [forget.click, talk.clear],
            errors_as_messages(callbacks.forget),
            [session],
            [session, talk, status, traced, caption, exported],
            api_name="forget",
            cancels=asking,
        )
        export.click(errors_as_messages(callbacks.export), [session], [exported], api_name="export")
        if callbacks.feedback is not None:
            good.click(errors_as_messages(callbacks.rate_good), [session], [session, status], api_name="good")
            bad.click(errors_as_messages(callbacks.rate_bad), [session], [session, status], api_name="bad")
    return page.queue(max_size=MAX_QUEUE, api_open=False)
