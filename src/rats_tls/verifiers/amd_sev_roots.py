"""Roots of AMD before SEV-SNP, pinned as key id and public key.

Facts, each with its source and the SHA-256 of the certificate it was read from (AMD's own form, 832 or 1600 bytes). The
key of Milan is that of its X.509 root, under another name.
"""

from __future__ import annotations

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor

AMD_SEV_ROOTS: tuple[TrustAnchor, ...] = (
    # certificate SHA-256 dedabca561e1dece8cc00b7bda864cf5f20b95017864408cfe18eaee0dce24b9
    # key (SPKI) SHA-256 3a04f8f1347de206c9206a81148ba4ef0a233b245d43a15dd82de043bb3e4f69
    TrustAnchor(
        vendor=Vendor.AMD,
        subject=bytes.fromhex("1bb987c359494606b174945601c9ea5b"),
        spki=bytes.fromhex(
            "30820122300d06092a864886f70d01010105000382010f003082010a0282010100dbbe91655458b2c0c990a611246c50"
            "d0d156fe3a40c6ad1975da499b0a0325bb54df8bc7f5d8a1bb4a0cfdbee558abf4792781b0c3a8fe30365c332b59c9a2"
            "df316f38037f965a2803900221872e51cd943f655562563a47a9a1d66993f144ff5a356e9027dbbc6ea43e33fdf55568"
            "4bfefd831b3a74663ef42015078c10597e41a95367371e34d10204d6c2e7cb1fbc1d6b6145b458f29c1019e317a6436a"
            "8be8b731dfac1861bab5223da03cc90a0272d52311eb19e0f8568f2d1e885615a9d8c6238b656a068368ee0afb6a8bd2"
            "eff95d37eae3427f40345d35a827b97f4e9012e05660ac9fb48677de84d4949826fde45c243aa655eb1c83000ace606c"
            "b90203010001"
        ),
        kind=AnchorKind.VENDOR,
        name="SEV ARK-Naples",
        source="https://developer.amd.com/wp-content/resources/ask_ark_naples.cert; "
        "certificate SHA-256 dedabca561e1dece8cc00b7bda864cf5f20b95017864408cfe18eaee0dce24b9",
    ),
    # certificate SHA-256 865977b268c16d5b27772b00aaefb4e737ba9499e818ed8e9f65b0cecefbc529
    # key (SPKI) SHA-256 7447ffa21e2b938bfade89f5e9066c00a328813bfc43685605cceabd18da6fde
    TrustAnchor(
        vendor=Vendor.AMD,
        subject=bytes.fromhex("e6002122fb58419399d15fee7b131351"),
        spki=bytes.fromhex(
            "30820222300d06092a864886f70d01010105000382020f003082020a0282020100dc750ef1ba69c5f4273f004b811c48"
            "a683c2ecac0dea96f4b2a06a573af650235d1f089b7c6c6a8efff9103344e7dfa2c6881b5ef61932819e3dac3da17fe4"
            "4a323d52dea366da861994700d81ac5e9316a53d3101ca28a34427c5e560f97a0c005f39867e4ca4463de2019f8ed328"
            "98f35e4b1ab903b7f5be24246d187ab2a4063c52c1cdbe8a71d3c681f50ce52020019e6143e65e24265b24b9747ffb3b"
            "bfdc1031a628c10af2e1103b9342e51a3c5c4615b8c3327e51718b0226e6c89428014f9bd152dd191a41020287c9d23d"
            "8c399b04bf7d4178647d51e874540f1715300878cac9712fd4b73f39b2ff6381379c40895a127033359a7a965ee320b0"
            "7c0721959d643ebce13c40103057046066eb6d633486ad104ff02d68b7e0712a0bd43761e5034ac9c64dfd46ee708cd6"
            "46235491fbd0989f5a121cc9cb2863e562afee1d43388e8723a9e2d41bc76b03fe68c727bb80ea5c4676e0cbd2c30390"
            "3e9799a364a81c60443f9b5696f72d7dc3a4934e7ccf01d53e3d779ff3d9e6f2b4b25012606f53f8b8263c0f834dc428"
            "59d6e40a281b1d0db11689385f92f7389db699b8d8da79aa89417268dff87e602e06a72c6effa1b7bf630f97ce7906f6"
            "15c3436d2888196dab523cea7db4760c7179374bca2d2f992fbdec133a0aeb327f5604dcdea43b0eada68e37b7dc37c2"
            "e85c20e9a5ab19f23f4485d7005e9518ab0203010001"
        ),
        kind=AnchorKind.VENDOR,
        name="SEV ARK-Rome",
        source="https://developer.amd.com/wp-content/resources/ask_ark_rome.cert; "
        "certificate SHA-256 865977b268c16d5b27772b00aaefb4e737ba9499e818ed8e9f65b0cecefbc529",
    ),
    # certificate SHA-256 1246469862b78a7a8625579b0378d1f8e975eb8b82a1623b579d7968a5969888
    # key (SPKI) SHA-256 9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9
    TrustAnchor(
        vendor=Vendor.AMD,
        subject=bytes.fromhex("94c38e4177d0479292a7ae671d083fb6"),
        spki=bytes.fromhex(
            "30820222300d06092a864886f70d01010105000382020f003082020a0282020100d0b779d9124e75e88996a2b625db15"
            "983ec592dba8b56c17d5f3605b8d5763d5f3d471214949a12f3f42bbd0c7465be02523716de618b2725fbf28f1d4c7d4"
            "d15e6d90a894d447ac345b5ad644c0d2cccd8ac75873d8acaa4ee65d3e7e29f1916df73857ff73448704f2394737ad52"
            "d63bbc5fddfee9dc4352b1b64b3c6a278061ab2626503aee3d72525f8bd4734d4fee3f7c329a8e4bde6b3917461de239"
            "d8d6b3e66d81f8efaf8ec0b4eb4777ee363d2c57ae38fe0c7ab8bcaa07e2d92e642aa83f685e9a3edb80650551eeedca"
            "1585cfe7d5e6260b5ca20d398262344ff3a2b4b86ecd5be965c2e9874a1d87fd483d7ab1dfe3278c3f7b03b7d7a6a19d"
            "ff2f0ac57ee392c4c4cc03a06ca01e6a6de59bedf228871360c96c44c5cf72335b22f9ac072903fffc529e2bacb87064"
            "8279443445b1d5471b410aecfa054392e54f86c9f321136062f338f18fbb2c6889627ae613cc5cadec5e901c6bbdad95"
            "f53250aa7377439de4b79be2422dfe8027e69300b4174b62ac865b2e45cfacfc3367433d78dc6123249bda7a497e09ea"
            "cf9e48d2edf7c21e2bd1935079319fc34dcc054b72bb319eb0691cc3e968a8c6aad6a478b6319b3d8c42be90aaefe3a0"
            "a420a830d8addae2e8f4cd7c7c7cf5d2538c4fc9d6014bd1645ced7970a6fbb3c77583e5990c14c372ef7a727f20b5e8"
            "40f1df6e41f40b23df865d635a124565ab0203010001"
        ),
        kind=AnchorKind.VENDOR,
        name="SEV ARK-Milan",
        source="https://developer.amd.com/wp-content/resources/ask_ark_milan.cert; "
        "certificate SHA-256 1246469862b78a7a8625579b0378d1f8e975eb8b82a1623b579d7968a5969888",
    ),
)
