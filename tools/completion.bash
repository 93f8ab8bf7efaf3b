# bash completion for cnnscope; commands and options are those that the program's --help lists.

_cnnscope() {
    local program=$1 current=$2 previous=$3 command=${COMP_WORDS[1]} words=
    if ((COMP_CWORD == 1)); then
        words=$("$program" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words --help --version --limits" -- "$current")
        return
    fi
    case $previous in
    --engine) words="direct gemm" ;;
    --dtype) words="f32 f64" ;;
    --isa) words="auto portable-nofma portable avx2 avx512" ;;
    --kernel) words="auto dense skip" ;;
    --method | --methods)
        words="gradcam gradcam++ scorecam hirescam xgradcam layercam gradient input-x-gradient integrated-gradients"
        ;;
    --variant) words="paper authors pgc torchcam monai captum midpoint sum-abs sum" ;;
    --only) words="input activation gates winners gradient parameter" ;;
    --fail-on) words="corner uniform roi side" ;;
    --roi)
        mapfile -t COMPREPLY < <(compgen -f -W chest-template -- "$current")
        return
        ;;
    --fill) words="mean blur" ;;
    --target) words="logit prob neg-logit margin:" ;;
    --class | -c) [[ $command == explain || $command == diagnose ]] && words="argmax all topk:" || words="argmax" ;;
    --arch) words="resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d wide_resnet50_2 resnet20_cifar" ;;
    --output | -o | --font | --masks | --gates | --against)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    esac
    if [[ -z $words && $current == -* ]]; then
        words=$("$program" "$command" --help 2>/dev/null | sed -n 's/^  \(-[a-z], \|    \)\(--[a-z-]\{1,\}\).*/\2/p')
    fi
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _cnnscope cnnscope
