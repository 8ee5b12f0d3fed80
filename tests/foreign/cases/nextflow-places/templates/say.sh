echo $word > said.txt
