"""peers.py - the same networks in the runtimes that cnnscope is compared with. A peer is (output, function that runs once)."""
import pathlib
import sys

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import transforms


class Cifar(torch.nn.Module):
    """The CIFAR ResNet of He et al. 2015 with shortcuts of option A, as in the checkpoints of data/cifar-resnets."""

    class Block(torch.nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1, self.bn1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), torch.nn.BatchNorm2d(outputs)
            self.conv2, self.bn2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(outputs)
            self.stride, self.more = stride, (outputs - inputs) // 2

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            if self.stride != 1:
                x = torch.nn.functional.pad(torch.nn.functional.max_pool2d(x, 1, 2), (0, 0, 0, 0, self.more, self.more))
            return torch.relu(y + x)

    def __init__(self, blocks=3):
        super().__init__()
        self.conv1, self.bn1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(16)
        stage = lambda i, o, s: torch.nn.Sequential(*[self.Block(i if b == 0 else o, o, s if b == 0 else 1) for b in range(blocks)])
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def cifar_network(path):
    model = Cifar()
    values = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("module."): v for k, v in values.items()})
    return frozen(model, path.stem.replace("-", "_"))


def cifar_images(data, count):
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    return torch.stack([steps(Image.open(p).convert("RGB")) for p in sorted((data / "cifar10-sample/png").glob("*.png"))[:count]])


def torchvision_network(arch, values, classes=2):
    model = getattr(torchvision.models, arch)(num_classes=classes)
    model.load_state_dict(values, strict=False)
    return frozen(model, arch)


def frozen(model, tag):
    """Ready for inference; `tag` names the files that the peers make of it."""
    model.tag = tag
    for p in model.parameters():
        p.requires_grad_(False)
    return model.eval()


def xrays(data, count, size=224):
    steps = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor(),
                                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    paths = sorted((data / "chest-xray" / "PNEUMONIA").glob("*.png"))[:count]
    return torch.stack([steps(Image.open(p).convert("RGB")) for p in paths])


def work_and_zeros(model, x):
    """FLOPs of the convolutions and linear layers, and the share of zeros among the inputs of convolutions weighted by work."""
    zeros = work = linear = 0.0

    def hook(module, inputs, output):
        nonlocal zeros, work, linear
        flops = 2.0 * output.numel() * module.weight[0].numel()
        if isinstance(module, torch.nn.Conv2d):
            zeros, work = zeros + float((inputs[0] == 0).float().mean()) * flops, work + flops
        else:
            linear += flops

    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    with torch.no_grad():
        model(x)
    for h in hooks:
        h.remove()
    return work + linear, zeros / work


def torch_peers(model, x, work="forward"):
    import copy

    def made(model, x):
        def forward():
            with torch.inference_mode():
                return model(x).numpy()

        def gradient():
            leaf = x.clone().requires_grad_(True)
            return torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)[0]
        return forward(), gradient if work == "gradient" else forward

    last = torch.channels_last
    return {"PyTorch": made(model, x), "PyTorch channels-last": made(copy.deepcopy(model).to(memory_format=last), x.contiguous(memory_format=last))}


def gradcam_peer(model, x):
    from pytorch_grad_cam import GradCAM

    cam = GradCAM(model=model, target_layers=[model.layer4])
    for p in model.parameters():
        p.requires_grad_(True)
    return cam(input_tensor=x, targets=None), lambda: cam(input_tensor=x, targets=None)


def onnx_peer(model, x, threads, folder):
    import onnxruntime

    path = str(folder / f"{model.tag}_{len(x)}_{x.shape[-1]}.onnx")
    if not pathlib.Path(path).exists():
        torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"], output_names=["y"])
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    images = x.numpy()
    run = lambda: session.run(None, {"x": images})[0]
    return path, (run(), run)


def openvino_peer(path, x, threads):
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32",
                                                           "PERFORMANCE_HINT": "LATENCY"})
    request, images = compiled.create_infer_request(), x.numpy()
    run = lambda: request.infer({0: images})[0]
    return np.array(run()), run


def ncnn_peer(model, x, threads, folder, winograd):
    """ncnn knows no batch: its images run one behind the other."""
    import contextlib
    import ncnn
    import pnnx

    stem = folder / f"{model.tag}_{x.shape[-1]}"
    if not stem.with_suffix(".ncnn.bin").exists():
        with contextlib.redirect_stdout(sys.stderr):
            pnnx.export(model, str(stem.with_suffix(".pt")), (x[:1],), fp16=False)
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_winograd_convolution = threads, winograd
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    if net.load_param(str(stem.with_suffix(".ncnn.param"))) != 0 or net.load_model(str(stem.with_suffix(".ncnn.bin"))) != 0:
        raise RuntimeError(f"ncnn cannot run {model.tag}")
    images = [ncnn.Mat(image.numpy()).clone() for image in x]

    def run():
        rows = []
        for image in images:
            with net.create_extractor() as e:
                e.input("in0", image)
                rows.append(np.array(e.extract("out0")[1]).reshape(-1).copy())
        return np.stack(rows)
    return run(), run


def forward_peers(model, x, threads, folder):
    """All peers for a forward pass; one that is not installed is left out, and that is said."""
    torch.set_num_threads(threads)
    made = torch_peers(model, x)
    path, made["ONNX Runtime"] = onnx_peer(model, x, threads, folder)
    for name, make in {"OpenVINO": lambda: openvino_peer(path, x, threads),
                       "ncnn": lambda: ncnn_peer(model, x, threads, folder, True),
                       "ncnn, no Winograd": lambda: ncnn_peer(model, x, threads, folder, False)}.items():
        try:
            made[name] = make()
        except (ImportError, RuntimeError) as missing:
            print(f"left out: {name}: {missing}", file=sys.stderr)
    return made
