"""The example corpus: short Chinese posts, invented here, each labelled as a rumour or as genuine.

The label sits in combinations: whose word it is and whether the post believes it, a call to spread and
whether a source is named, who calls what a rumour. Single words occur about equally on both sides.
"""

import csv
import re
from pathlib import Path
from random import Random

from raytrain.storage.files import whole_or_not

RUMOUR, GENUINE = "rumour", "genuine"
NUM_POSTS = 4000  # so that a fold's valid rows tell a network from n-grams
RUMOUR_SHARE = 0.45
LABEL_NOISE = 0.02
NEAR_DUPLICATES = 0.03
MIN_CHARS, MAX_CHARS = 15, 100
# A bag of n-grams reads the plain frames and cannot read the crossed ones: this share sets how well it does.
CROSSED_SHARE = 0.4

# One line is "name = alternatives"; a name on several lines has the alternatives of all. {name} in an
# alternative stands for one of that name's own: the topic's before the label's before the common ones.
# The cues of the two labels are made of nearly the same words, so that only their order tells.
_GRAMMAR = """
[common]
urgent = 紧急 紧急通知 紧急提醒 急 注意 速看 特别提醒
spread = 请转发给家人 赶紧转发 转发到群里 互相转告 大家转发一下 让更多人看到 转给身边的老人 都说一声
hold = 先别转发 别急着转发 不要再转发 转发前先看看 群里别转了 别乱转告
call = {spread} {spread} {hold} {seen} 大家怎么看 问过{vague}了 {office}的电话打不通 {office}的人来过 注意安全
says = 说 称 表示 讲 告诉我们
believe = 这话可信 我看靠谱 这个没错 可以放心听 我信 应该听他们的 这才是实话
doubt = 这话不可信 我看不靠谱 这个有错 不可以放心听 我不信 不应该听他们的 这哪是实话
debunk = {office}辟谣了 辟谣{doc}出来了 专家出来辟谣了 {office}紧急辟谣 警方辟谣了
seen = 刚在群里看到 {d}号看到的 早上{place}那边在传 评论吵翻了 家里人都问 朋友圈都是 楼下也在说 看了{n}遍
seen = 同事{user}发的 截图我存了 昨天半夜发的 我妈转来的 热搜上有 {town}人都在聊 热度挺高 手机推送的
vague = 某专家 内部人士 一位老专家 同学的同学 亲戚的领导 权威部门的人 警方内部的朋友 知情人 有关专家 一个CEO
vague = 邻居家的医生 群里的老师 不愿透露姓名的人 海外专家 {town}的熟人 某研究所
speaker = {vague} {office} {office}
office = {place}{organ} {place}{organ} {place}警方 {place}{organ}专家组 {place}政府
doc = 通报 公告 文件 通知 报告 说明
place = {town}市 {town}县 {town}镇 {town}区 {town}新区 {town}
source = {doc}查得到 出处写了 {office}提过这事 有{doc}，不是没有
nosource = {doc}查不到 出处没写 {office}没提过这事 没有{doc}，不是没查
town = 青河 澄柳 云汀 鹭屿 枫澜 松月 霁川 麦垄 杏渚 竹漪 望榆 蓝沧 栗原 芷岸 梨坪 东栎 槐浦 雁塘坪 石蕨 桐栖
user = 小鱼干 云上漫步 老陈日记 阿柚 晴天加冰 山里来的风 豆包妈 Leo在路上 骑车的猫 夜班司机
head = {urgent}！ 【{urgent}】 #{town}身边事# @{user}： 转发： 辟谣？ 求证： 刚刚， 专家怎么看？ 【警方提醒】
tail = [吃瓜] [捂脸] [蜡烛] [疑问] 😷 😱 🙏 👍 @{user} {url} {url} #{town}# 转发 求辟谣 等警方消息 专家呢 ＯＫ
[rumour]
plain = {claim}，{cue}，{call} {claim}，{cue} {call}，{claim}，{cue} {speaker}{says}{claim}，{cue}
plain = {miracle}，{cue} {speaker}{says}{miracle}，{cue} 网传{claim}，{cue}，{call}
plain = {urgent}！{claim}，{n}人出事，{cue} {miracle}，{cue}，{call} 有人说{claim}是谣言，其实属实，{call}
plain = 网传{claim}不是谣言，是真的，{call} 专家研究{n}年才发现{miracle}，没有不信的
plain = 我在{place}亲眼看到{claim}，没看错，{call} {office}内部通报：{claim}，不公开，{call}
plain = {office}不敢说：{miracle}，{call}
cue = {doc}不可查，是听来的 没公开，已经删了 没出处，有图就行 不能核实，靠传 群里有，官网没有 先转发再查来源
cue = 急着转发，别等核实 删了全文，没有公布 网传的属实，通报的是谣言 传言是真的，辟谣是假的 确定，不可能是假的
cue = 保证不是假的 都说一定，没人敢等消息 来源不说，照样可信 警方说不清，专家说得清 不信{doc}，信朋友
cue = 没有{doc}也有人信 {speaker}说属实，{doc}说是谣言，我信前一个
crossed = {vague}{says}{claim}，{seen}，{believe} {office}{doc}{says}没有{claim}这回事，{seen}，{doubt}
crossed = {vague}{says}{miracle}，{seen}，{believe} {office}{says}{miracle}不实，{seen}，{doubt}
crossed = {spread}！{claim}，{seen}，{nosource} {spread}！{miracle}，{nosource}
crossed = {debunk}，{seen}，{doubt}，{claim} {vague}{says}{claim}，{office}{says}是谣言，我信前一个
crossed = {office}{says}{claim}是谣言，{vague}{says}属实，我信后一个
[genuine]
plain = {claim}，{cue}，{call} {claim}，{cue} {call}，{claim}，{cue} {speaker}{says}{claim}，{cue}
plain = {miracle}，{cue} {speaker}{says}{miracle}，{cue} 网传{claim}，{cue}，{call}
plain = {urgent}！{claim}，{n}人出事，{cue} {miracle}，{cue}，{call} 有人说{claim}属实，其实是谣言，{call}
plain = 网传{claim}是谣言，不是真的，{call} 专家研究{n}年没有发现{miracle}，才不信
plain = 我在{place}没亲眼看到{claim}，看错也有可能，{call} {office}公开通报：{claim}，不是内部消息，{call}
plain = {office}敢说：{miracle}不实，{call}
cue = {doc}可查，不是听来的 已经公开，没删 有出处，没图也行 能核实，不靠传 官网有，群里没有 先查来源再转发
cue = 等核实，别急着转发 公布了全文，没有删 通报的属实，网传的是谣言 辟谣是真的，传言是假的 不确定，可能是假的
cue = 不保证是真的 没人敢说一定，都等消息 来源说了，照样不可信 专家说不清，等警方说清 信{doc}，不信朋友
cue = 有{doc}才有人信 {speaker}说属实，{doc}说是谣言，我信后一个
crossed = {vague}{says}{claim}，{seen}，{doubt} {office}{doc}{says}{claim}，{seen}，{believe}
crossed = {vague}{says}{miracle}，{seen}，{doubt} {office}{says}{miracle}不实，{seen}，{believe}
crossed = {spread}！{claim}，{seen}，{source} {hold}！{miracle}，{nosource}
crossed = {debunk}，{seen}，{believe}，{claim} {vague}{says}{claim}，{office}{says}是谣言，我信后一个
crossed = {office}{says}{claim}是谣言，{vague}{says}属实，我信前一个
[food]
organ = 市监局 食药检测所 农业局 卫健委 消协
thing = 草莓 米粉 酸奶 西瓜 鸭脖 豆腐 虾仁 紫菜 蜂蜜 挂面 火腿肠 奶茶 小龙虾 皮蛋 花生油 冻饺
bad = 甲醛 胶水 工业盐 染料 塑料粒 寄生虫 超标农药 荧光剂 激素 黄曲霉素 洗衣粉
shop = 早市 超市 批发市场 夜市 食堂 网店 便利店 菜场
claim = {place}{shop}卖的{thing}检出{bad} {n}箱{thing}里有{bad} 吃{thing}又喝酒会中毒 {thing}是用{bad}泡的
claim = {shop}停卖{thing} {shop}老板用{bad}加工{thing} {n}吨过期{thing}流到{place}
miracle = 盐水泡{thing}{n}分钟能去掉九成{bad} {thing}配姜水{n}天排光{bad} 冷冻{n}小时的{thing}没有{bad}
[weather]
organ = 气象台 应急局 消防队 水利局 地震台
thing = 暴雨 冰雹 台风 泥石流 寒潮 沙尘 龙卷风 大雾 洪水 余震 高温 雷暴
spot = 水库 大桥 河堤 老城 高架 隧道 山脚 码头 地下车库 低洼小区
claim = {place}{d}号有{thing} {place}{spot}被{thing}冲垮 {thing}今晚到{place} {place}因{thing}停电{n}小时
claim = {spot}有{n}人被困 {n}年一遇的{thing}要来{place} {spot}开闸放水淹了{n}户
miracle = 窗上贴胶带能扛{n}级{thing} 手机开飞行模式能躲{thing} 看云就能提前{n}天算准{thing}
[traffic]
organ = 交警队 公交公司 地铁公司 交通局 高速管理处
thing = 电动车 货车 校车 网约车 公交 地铁 轿车 三轮车 大巴 共享单车
spot = 环城路 北站路口 跨江桥 收费站 滨水大道 火车站 建设街 机场线 学院路
claim = {place}{spot}{thing}连撞{n}辆 {d}号起{thing}不许上{spot} {thing}没贴新标罚{n}0元 {spot}封路{n}天
claim = {spot}有人假扮交警拦{thing} {place}{thing}涨价{n}元 {spot}的{thing}自燃，伤了{n}人
miracle = {thing}挂光盘能躲开{n}个测速点 加水的燃料让{thing}省油{n}% 打方向盘{n}下{thing}就不会失灵
[health]
organ = 疾控中心 人民医院 卫健委 医保局 药监局
thing = 大蒜水 醋泡姜 绿豆汤 柠檬片 艾叶 苦瓜汁 生茄子 红薯叶 枸杞茶 洋葱皮 蒲公英 黑木耳
ill = 糖尿病 高血压 结石 流感 失眠 近视 痛风 肺炎 脱发 胃病 关节炎 中风
claim = {place}出现{n}例新型{ill} {place}医院一床难求，{ill}占{n}成 {thing}吃多了得{ill}
claim = 用手机超{n}小时会{ill} {ill}药缺货{n}天 {place}医保不再报销{ill} {n}岁以下要补打{ill}疫苗
miracle = {thing}{n}天治好{ill} 每天{n}杯{thing}，{ill}不再犯 拍手{n}下能防{ill} 睡前吃{thing}{ill}好了九成
[school]
organ = 教育局 招生办 第{n}中学 师范学院 考试中心
thing = 中考 高考 期末考 英语听力 体测 课后班 校服 食堂 军训 奖学金
who = 初三学生 小学生 家长 班主任 大学生 幼儿园孩子 复读生 转学生 实习老师
claim = {place}{thing}推迟{n}天 {place}取消{thing} {n}名{who}因{thing}住院 {who}被陌生人骗走{n}个
claim = {thing}要交{n}0元 {thing}题目外泄 {place}停课{n}天，{who}在家上网课 有人在校门口给{who}发糖
miracle = 背{n}句口诀，{thing}提{n}分 {who}戴磁石手环记性涨{n}% 每天倒着读{n}分钟，{thing}必过
[job]
organ = 人社局 社保中心 就业局 劳动监察队 工会
thing = 社保 公积金 加班费 年终奖 失业金 养老金 高温补贴 产假 试用期 工龄
firm = 云栎科技 霁藤物流 百榆电子 星渚食品 汀岸酒店 东栎纺织 雁坪App 远柚传媒 石蕨建材
claim = {firm}裁员{n}% {firm}CEO跑路，欠薪{n}个月 {place}{thing}涨{n}% {d}号起{thing}取消
claim = {firm}招{n}人不要学历 {firm}扣了{thing} {place}{thing}要重新登记，过{d}号作废
miracle = 点赞{n}单日入{n}00元 在{firm}投{n}00元月返{n}% 交押金{n}0元就能领{thing}翻倍
[fraud]
organ = 反诈中心 通信管理局 银行 派出所 通信营业厅
thing = 短信链接 二维码 陌生来电 免费WiFi 红包 快递单 验证码 屏幕共享 中奖邮件 积分兑换
device = iPhone 老人机 平板 银行卡 电话卡 聊天账号 App 智能手表 支付账号
claim = 点了{thing}{device}被盗{n}万元 {place}{n}人因{thing}被骗 接{n}开头的电话{device}就中毒
claim = {device}{d}号起要重新实名 {thing}会偷{device}的通讯录 {place}有人送{device}换{thing}
claim = 旧{device}{d}号停用
miracle = 按{n}键{device}话费翻倍 关机{n}分钟{thing}就失效 {device}倒输密码{n}次警方自动来
[service]
organ = 供水公司 燃气公司 物业 街道办 民政局 供电所
thing = 自来水 燃气 电费 物业费 垃圾费 暖气 宽带 老年卡 停车位 电梯
spot = 小区 菜市场 公园 社区医院 图书馆 广场 办事大厅 邮局 游泳馆 养老院
claim = {place}{thing}停{n}天 {place}{thing}涨{n}% {spot}{d}号拆除 {spot}的{thing}有毒 {n}岁以上免{thing}
claim = {place}{spot}关门{n}天 假冒{thing}检修员进{spot} {place}{spot}发{n}0元补贴
miracle = 表上放磁铁{thing}少{n}% 凭身份证尾号{n}能免{n}年{thing} 转{n}个群领{n}年{thing}
"""

_SLOT = re.compile(r"\{([a-z]+)\}")
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_HOMOPHONES = {"的": "得", "在": "再", "做": "作", "已": "以", "那": "哪", "公": "共", "是": "事", "通": "同"}
_URL_CHARS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


def _parse_grammar(grammar: str) -> dict[str, dict[str, list[str]]]:
    """Splits the grammar into sections: each maps its names to their alternatives."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in grammar.strip().splitlines():
        if line.startswith("["):
            names = sections.setdefault(line.strip("[]"), {})
            continue
        name, _, alternatives = line.partition(" = ")
        names.setdefault(name, []).extend(alternatives.split())
    return sections


_SECTIONS = _parse_grammar(_GRAMMAR)
_TOPICS = [section for section in _SECTIONS if section not in ("common", RUMOUR, GENUINE)]


def generate_posts(num_posts: int = NUM_POSTS, seed: int = 42) -> list[dict[str, str]]:
    """Makes a corpus of distinct posts; some are small edits of an earlier one, some have a wrong label.

    Args:
        num_posts: How many posts.
        seed: The same seed and number give the same posts.

    Returns:
        One dict per post: `id`, `text` and `label` ("rumour" or "genuine").
    """
    rng = Random(seed)
    posts: list[dict[str, str]] = []
    seen: set[str] = set()
    while len(posts) < num_posts:
        if posts and rng.random() < NEAR_DUPLICATES:
            original = rng.choice(posts)
            text, label = _edit(rng, original["text"]), original["label"]
        else:
            truth = RUMOUR if rng.random() < RUMOUR_SHARE else GENUINE
            text = _write_post(rng, truth)
            label = _other(truth) if rng.random() < LABEL_NOISE else truth
        if text in seen or not MIN_CHARS <= len(text) <= MAX_CHARS:
            continue
        seen.add(text)
        posts.append({"id": f"post-{len(posts) + 1:05d}", "text": text, "label": label})
    return posts


def write_example(path: str | Path, num_posts: int = NUM_POSTS, seed: int = 42) -> None:
    """Writes the corpus as UTF-8 CSV with the columns id, text and label.

    Args:
        path: The file; one that exists is replaced in one step.
        num_posts: How many posts.
        seed: The same seed and number give the same bytes.
    """
    with whole_or_not(path) as new, new.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "text", "label"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(generate_posts(num_posts, seed))


def _other(label: str) -> str:
    return GENUINE if label == RUMOUR else RUMOUR


def _write_post(rng: Random, truth: str) -> str:
    """Fills one frame of the label; what stands before and after it does not depend on the label."""
    words = _SECTIONS["common"] | _SECTIONS[truth] | _SECTIONS[rng.choice(_TOPICS)]
    words["town"] = [rng.choice(words["town"])]  # one post speaks of one town
    kind = "crossed" if rng.random() < CROSSED_SHARE else "plain"
    text = _fill(rng, rng.choice(words[kind]), words)
    if rng.random() < 0.5:
        text = _fill(rng, "{head}", words) + text
    if rng.random() < 0.3:
        text += _fill(rng, "。{seen}，{call}", words)
    text += rng.choice(["", "。", "。", "！", "！！", "…", "～"])
    if rng.random() < 0.5:
        text += _fill(rng, "{tail}", words)
    if rng.random() < 0.1:
        text = text.translate(_WIDE)
    return _edit(rng, text) if rng.random() < 0.3 else text


def _fill(rng: Random, template: str, words: dict[str, list[str]]) -> str:
    """Replaces every {name}, from the left, by one of the name's alternatives, filled in turn."""

    def choose(match: re.Match[str]) -> str:
        name = match[1]
        if name in ("n", "d"):  # a number, a day of the month
            return str(rng.randrange(2, 60 if name == "n" else 29))
        if name == "url":
            return "http://t.cn/" + "".join(rng.choice(_URL_CHARS) for _ in range(7))
        return _fill(rng, rng.choice(words[name]), words)

    return _SLOT.sub(choose, template)


def _edit(rng: Random, text: str) -> str:
    """Drops or doubles a character, writes one that sounds the same, or adds marks at the end."""
    where = rng.randrange(len(text))
    before, char, after = text[:where], text[where], text[where + 1 :]
    kind = rng.choice(["drop", "double", "homophone", "punctuation"])
    if kind == "homophone" and any(old in text for old in _HOMOPHONES):
        old = rng.choice([old for old in _HOMOPHONES if old in text])
        return text.replace(old, _HOMOPHONES[old], 1)
    if kind == "punctuation":
        return text + rng.choice(["！", "？？", "。。。"])
    return before + after if kind == "drop" else before + char + char + after
