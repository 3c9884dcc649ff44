"use strict";
// What the page says, in both languages; {} stands for a number or a name.
const TOLD = {
  zh: {
    other: "English", token: "访问令牌（启动服务时显示）", enter: "进入", ensemble: "模型", ask: "预测",
    file: "选择文件", drop: "或把 CSV、TXT 文件拖到这里", results: "结果", download: "下载 CSV",
    hint: "文本，每行一条", hintPairs: "文本对，每行一对，用制表符隔开", none: "没有文本。", working: "正在预测…… {}",
    done: "共 {} 条，版本 {}", more: "只显示前 {} 条，CSV 中有全部结果。", words: "哪些词起了作用",
    wordsNote: "去掉绿色的词，“{}”的概率下降；去掉橙色的词，概率上升。", noSpans: "没有找到实体",
    wrongToken: "令牌不对，请再输入一次。", lost: "服务没有回应。", noFile: "无法读取这个文件。", problem: "新模型无法载入：{}",
    noPair: "每一行都要有两段文本，用制表符隔开。", notUtf8: "{} 不是 UTF-8，按 GB18030 读取；如果是乱码，请先转成 UTF-8。",
    wordsCut: "文本较长，没有试过所有的词。",
  },
  en: {
    other: "中文", token: "Token (told when the service was started)", enter: "Enter", ensemble: "Model", ask: "Predict",
    file: "Choose a file", drop: "or drop a CSV or TXT here", results: "Results", download: "Download CSV",
    hint: "Texts, one a line", hintPairs: "Pairs of texts, one a line, a tab between", none: "There is no text.",
    working: "Predicting… {}", done: "{} texts, version {}", more: "The first {} are shown; the CSV has all.",
    words: "Which words moved it", wordsNote: "Without a green word “{}” is less probable, without an orange one more.",
    noSpans: "no span found", wrongToken: "That is not the token; please enter it again.", lost: "The service does not answer.",
    noFile: "This file cannot be read.", problem: "A newer model cannot be loaded: {}",
    noPair: "Each line needs two texts, with a tab between.", wordsCut: " The text is long: not all words were tried.",
    notUtf8: "{} is not UTF-8 and was read as GB18030; if the texts look wrong, save it as UTF-8.",
  },
};
