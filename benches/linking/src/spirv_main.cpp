// Assembles a shader, validates it, breaks it, and prints what the validator says of each version.
#include <cstdio>
#include <string>
#include <vector>

#include "spirv-tools/libspirv.hpp"

static const char SHADER[] = R"(
OpCapability Shader
OpMemoryModel Logical GLSL450
OpEntryPoint Fragment %main "main" %index %color
OpExecutionMode %main OriginUpperLeft
OpDecorate %index BuiltIn SampleId
OpDecorate %index Flat
OpDecorate %color Location 0
%void = OpTypeVoid
%function = OpTypeFunction %void
%int = OpTypeInt 32 1
%float = OpTypeFloat 32
%vector = OpTypeVector %float 4
%in = OpTypePointer Input %int
%out = OpTypePointer Output %vector
%index = OpVariable %in Input
%color = OpVariable %out Output
%half = OpConstant %float 0.5
%main = OpFunction %void None %function
%entry = OpLabel
%loaded = OpLoad %int %index
%number = OpConvertSToF %float %loaded
%scaled = OpFMul %float %number %half
%all = OpCompositeConstruct %vector %scaled %half %half %scaled
OpStore %color %all
OpReturn
OpFunctionEnd
)";

int main() {
    spvtools::SpirvTools tools(SPV_ENV_VULKAN_1_2);
    tools.SetMessageConsumer([](spv_message_level_t, const char *, const spv_position_t &at, const char *message) {
        std::printf("%zu: %s\n", at.index, message);
    });
    std::vector<uint32_t> binary;
    if (!tools.Assemble(SHADER, &binary)) return 1;
    std::printf("%zu words, valid: %d\n", binary.size(), tools.Validate(binary));
    std::string text;
    if (!tools.Disassemble(binary, &text)) return 1;
    std::printf("%s", text.c_str());
    for (size_t word = 5; word < binary.size(); word += 7) {
        std::vector<uint32_t> broken = binary;
        broken[word] ^= 3;
        std::printf("word %zu, valid: %d\n", word, tools.Validate(broken));
    }
    return 0;
}
