"""Pre-trains an encoder on texts without labels, from any encoder or from nothing, for kfold to take."""

from raytrain.commands.shared import AS_PROGRAM, Named, config_parser, describe, job_console
from raytrain.config.load import read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.messages import shell_word

EXAMPLES = """{pretrain} data.path=posts.txt name=weibo
{pretrain} data.path=[a.txt.xz,b.csv] encoder.checkpoint=bert_base_zh train.epochs=1
{pretrain} data.path=posts.txt encoder.pretrained=false train.steps=20000
{kfold} data.path=train.csv encoder.checkpoint=runs/weibo/encoder"""
WHEN_INTERRUPTED = "its last checkpoint is kept: run the same command again to go on"


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, trains, and says where the encoder lies and what takes it."""
    parser = config_parser(describe(__doc__, EXAMPLES, named), named("pretrain"), PretrainConfig)
    options = parser.parse_intermixed_args(arguments)
    config = read_config(PretrainConfig, options.config, options.overrides)
    console = job_console()
    from raytrain.pretraining.driver import encoder_location, pretrain

    pretrain(config, console)
    where = encoder_location(config)
    is_here = "://" not in where
    start = shell_word(f"encoder.checkpoint={where}") if is_here else "encoder.checkpoint=DIRECTORY"
    first = "use it with" if is_here else "copy it to a directory that all nodes reach, and use it with"
    lines = f"encoder: {where}\n{first}: {named('kfold')} data.path=FILE {start}"
    console.print(lines, highlight=False, markup=False, soft_wrap=True)
